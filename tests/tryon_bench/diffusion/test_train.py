"""`train-pbe` as a whole: stages, resuming, several processes, what is left on the disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.tryon_bench.diffusion.short import SHORT

from tryon_bench._shared.checkpoints import load_model
from tryon_bench._shared.errors import CheckpointError, ConfigError, DataError
from tryon_bench.data.open import open_dataset
from tryon_bench.data.sample import Dataset
from tryon_bench.diffusion.components import tiny_components
from tryon_bench.diffusion.config import DiffusionConfig
from tryon_bench.diffusion.folders import load_base, save_base
from tryon_bench.diffusion.recipes import read_recipe, recipe_names
from tryon_bench.diffusion.storage import load_trained
from tryon_bench.diffusion.train import train_pbe


def _config(**changes: object) -> DiffusionConfig:
    return DiffusionConfig.model_validate({**SHORT, **changes})


def _train(**changes: object) -> dict[str, object]:
    return {**SHORT["train"], **changes}


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "pbe"
    save_base(tiny_components(0), folder)
    return folder


def test_run_holds_every_trained_part_in_the_layout_of_diffusers(run: Path) -> None:
    from diffusers import ControlNetModel, UNet2DConditionModel

    tensors, _ = load_model(run / "checkpoints" / "last")
    control = ControlNetModel.from_pretrained(run / "controlnet").state_dict()
    assert all(torch.equal(value, tensors[f"controlnet.{name}"]) for name, value in control.items())
    unet = UNet2DConditionModel.from_pretrained(run / "base", subfolder="unet")
    unet.load_lora_adapter(run / "unet_lora", prefix=None, weight_name="pytorch_lora_weights.safetensors")
    loaded = load_trained(run).model.components.unet
    inputs = (torch.randn(1, 9, 16, 12), torch.tensor([5]), torch.randn(1, 1, 16))
    with torch.no_grad():
        adapted = unet.eval()(*inputs).sample
        torch.testing.assert_close(adapted, loaded(*inputs).sample, rtol=0, atol=1e-5)
        unet.disable_lora()
        assert (adapted - unet(*inputs).sample).abs().max() > 1e-4


def test_loaded_model_is_the_one_that_was_trained(run: Path) -> None:
    tensors, _ = load_model(run / "checkpoints" / "last")
    model = load_trained(run).model
    assert torch.equal(model.components.encoder.proj_out.weight, tensors["mapping.proj_out.weight"])
    assert torch.equal(model.components.encoder.uncond_vector, tensors["uncond_vector"])
    assert not any(p.requires_grad for p in model.parameters())


def test_run_says_that_its_base_is_tiny_and_how_many_pairs_it_saw(run: Path) -> None:
    trained = load_trained(run)
    assert trained.note == "tiny random-weight base, trained on 4 pairs"
    assert len(trained.sha256) == 64


def test_tiny_base_predicts_v_and_is_sampled_accordingly(run: Path) -> None:
    assert load_base(run / "base").noise["prediction_type"] == "v_prediction"
    assert load_trained(run).model.components.noise["prediction_type"] == "v_prediction"


def test_latents_of_the_tiny_base_have_unit_variance(run: Path, dataset: Dataset) -> None:
    from tryon_bench.diffusion.latents import encode
    from tryon_bench.diffusion.pairs import PreparedPairs, to_tensors

    vae = load_base(run / "base").vae
    config = _config().frame
    pairs = PreparedPairs(dataset.samples, config, 16)
    with torch.no_grad():
        latents = encode(vae, to_tensors([pairs[i] for i in range(4)], config)["image"])
    assert float(latents.std()) == pytest.approx(1, abs=1e-3)


def test_finished_run_is_not_trained_again(run: Path, dataset: Dataset) -> None:
    before = (run / "controlnet" / "diffusion_pytorch_model.safetensors").read_bytes()
    config = _config(lora_rank=2, train_mapping=True)
    with pytest.raises(ConfigError, match="resume"):
        train_pbe(dataset, config, run, device="cpu", quiet=True)
    assert train_pbe(dataset, config, run, device="cpu", resume=True, quiet=True).step == 2
    assert (run / "controlnet" / "diffusion_pytorch_model.safetensors").read_bytes() == before


def test_base_of_the_users_is_not_trained(dataset: Dataset, base: Path, tmp_path: Path) -> None:
    train_pbe(dataset, _config(base=str(base)), tmp_path / "run", device="cpu", quiet=True)
    assert not (tmp_path / "run" / "base").exists()
    assert not (tmp_path / "run" / "stages").exists()
    assert load_trained(tmp_path / "run").note == ""


def test_base_that_changed_since_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    save_base(tiny_components(0), tmp_path / "pbe")
    train_pbe(dataset, _config(base=str(tmp_path / "pbe")), tmp_path / "run", device="cpu", quiet=True)
    save_base(tiny_components(1), tmp_path / "pbe")
    with pytest.raises(CheckpointError, match="trained on another base"):
        load_trained(tmp_path / "run")


def test_training_goes_on_from_a_controlnet_and_refuses_one_of_other_hints(
    run: Path, dataset: Dataset, base: Path, tmp_path: Path
) -> None:
    start = str(run / "controlnet")
    config = _config(base=str(base), controlnet=start, train=_train(max_steps=1, lr=1e-12))
    train_pbe(dataset, config, tmp_path / "run", device="cpu", quiet=True)
    before, after = (load_model(r / "checkpoints" / "last")[0] for r in (run, tmp_path / "run"))
    name = "controlnet.controlnet_mid_block.weight"
    torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)
    other = _config(base=str(base), controlnet=start, frame={**SHORT["frame"], "hints": ["pose"]})
    with pytest.raises(CheckpointError, match=r"conditioning_channels is 6, base and frame\.hints need 3"):
        train_pbe(dataset, other, tmp_path / "other", device="cpu", quiet=True)


def test_moving_average_is_what_is_exported(dataset: Dataset, base: Path, tmp_path: Path) -> None:
    config = _config(base=str(base), lora_rank=2, train=_train(max_steps=3, ema_decay=0.5, checkpoint_every=3))
    train_pbe(dataset, config, tmp_path / "run", device="cpu", quiet=True)
    from safetensors.torch import load_file

    step = tmp_path / "run" / "checkpoints" / "step-00000003"
    control = load_file(tmp_path / "run" / "controlnet" / "diffusion_pytorch_model.safetensors")
    name = "controlnet_mid_block.weight"
    assert torch.equal(control[name], load_file(step / "ema.safetensors")[f"controlnet.{name}"])
    assert not torch.equal(control[name], load_file(step / "model.safetensors")[f"controlnet.{name}"])


def test_accumulation_and_bf16_train_alike(dataset: Dataset, base: Path, tmp_path: Path) -> None:
    finals = {}
    for name, changes in {
        "plain": {},
        "accumulated": {"accumulate": 4},
        "bf16": {"precision": "bf16"},
    }.items():
        config = _config(base=str(base), train=_train(max_steps=3, log_every=1, **changes))
        train_pbe(dataset, config, tmp_path / name, device="cpu", quiet=True)
        finals[name] = _losses(tmp_path / name)
    assert finals["accumulated"] == pytest.approx(finals["plain"], rel=1e-4)
    assert finals["bf16"] == pytest.approx(finals["plain"], rel=0.05)
    assert finals["bf16"] != finals["plain"]


def test_held_out_pairs_are_not_trained_on(dataset: Dataset, base: Path, tmp_path: Path) -> None:
    from tryon_bench.diffusion.train import build_task

    task = build_task(load_base(base), dataset, _config(base=str(base), validation_pairs=1))
    assert task.train_size() == 3
    assert [s.pair_id for s in task.validation.samples] == [dataset.samples[3].pair_id]
    with pytest.raises(DataError, match="4 pairs, of which validation_pairs=4 are held out"):
        build_task(load_base(base), dataset, _config(base=str(base), validation_pairs=4))


def test_unpaired_rows_are_no_training_data(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="paired"):
        train_pbe(open_dataset(data, "vitonhd", "unpaired"), _config(), tmp_path / "run", device="cpu")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_valid_configuration(name: str) -> None:
    config = DiffusionConfig.model_validate(read_recipe(name))
    assert config.train.monitor_mode == "min"


def test_settings_given_in_part_leave_the_others_as_they_are() -> None:
    """A recipe or a flag that names one setting must not reset the rest of its table to the loop's defaults."""
    config = DiffusionConfig.model_validate({"train": {"max_steps": 5}, "tiny_base": {"vae": {"seed": 1}}})
    assert config.train == DiffusionConfig().train.model_copy(update={"max_steps": 5})
    assert config.tiny_base.vae == DiffusionConfig().tiny_base.vae.model_copy(update={"seed": 1})
    assert config.train.clip_norm == 1.0


def _command(data: Path, run_dir: Path, base: Path, steps: int, *more: str) -> list[str]:
    settings = ["frame.height_px=32", "frame.width_px=24", "train.batch_size=4"]
    settings += ["train.checkpoint_every=4", "train.validate_every=12", "train.lr=3e-3", "train.ema_decay=0.9"]
    options = [part for setting in settings for part in ("--set", setting)]
    arguments = [
        "train-pbe",
        str(data),
        "--run-dir",
        str(run_dir),
        "--base",
        str(base),
        "--split",
        "test",
        "--steps",
        str(steps),
    ]
    return [
        "-m",
        "tryon_bench",
        *arguments,
        *options,
        "--steps",
        str(steps),
        "--device",
        "cpu",
        "--quiet",
        "--resume",
        *more,
    ]


@pytest.mark.slow
def test_killed_and_resumed_ends_bit_equal(data: Path, base: Path, tmp_path: Path) -> None:
    lora = ("--lora", "2")
    subprocess.run([sys.executable, *_command(data, tmp_path / "whole", base, 24, *lora)], check=True, timeout=200)
    cut = tmp_path / "cut"
    process = subprocess.Popen([sys.executable, *_command(data, cut, base, 24, *lora)])
    deadline = time.monotonic() + 150
    while not list(cut.glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    assert not (cut / "controlnet").exists()
    with pytest.raises(CheckpointError, match="has not ended; continue it with --resume"):
        load_trained(cut)
    subprocess.run([sys.executable, *_command(data, cut, base, 24, *lora)], check=True, timeout=200)
    whole, resumed = (load_model(r / "checkpoints" / "last")[0] for r in (tmp_path / "whole", cut))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert load_trained(tmp_path / "whole").sha256 == load_trained(cut).sha256
    for file in (
        "model.safetensors",
        "optim.safetensors",
    ):  # raw weights and the optimiser, not their average alone
        states = [(r / "checkpoints" / "step-00000024" / file).read_bytes() for r in (tmp_path / "whole", cut)]
        assert states[0] == states[1]


@pytest.mark.slow
def test_two_processes_train_as_one(data: Path, base: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    more = ("--set", "train.log_every=1", "--lora", "2")
    subprocess.run(
        [*launch, *_command(data, tmp_path / "two", base, 3, *more)], check=True, timeout=220, env=environment
    )
    config = _config(
        base=str(base),
        lora_rank=2,
        train=_train(
            max_steps=3, log_every=1, ema_decay=0.9, schedule="constant", warmup_steps=500, clip_norm=1.0
        ),
    )
    train_pbe(open_dataset(data, "vitonhd", "paired"), config, tmp_path / "one", device="cpu", quiet=True)
    one, two = (_losses(tmp_path / name) for name in ("one", "two"))
    assert len(one) == 3
    assert two == pytest.approx(one, rel=1e-4)
    weights = [load_model(tmp_path / name / "checkpoints" / "last")[0] for name in ("one", "two")]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():  # Adam's first steps are those of signs: rounding can show there
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=1e-3)


def _losses(run_dir: Path) -> list[float]:
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if line["split"] == "train"]
