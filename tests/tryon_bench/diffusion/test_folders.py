"""The published folder layout: read, written, and what is said where it cannot be."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from tryon_bench._shared.errors import CheckpointError
from tryon_bench.diffusion.components import Components, new_controlnet, tiny_components
from tryon_bench.diffusion.folders import find_base, load_base, load_controlnet, save_base


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "pbe"
    save_base(tiny_components(3), folder)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "pbe"))


def _same(one: Components, other: Components) -> bool:
    pairs = zip(one.modules(), other.modules(), strict=True)
    return all(
        torch.equal(value, b.state_dict()[name]) for a, b in pairs for name, value in a.state_dict().items()
    )


def test_base_comes_back_as_it_was_written(written: Path) -> None:
    base = load_base(written)
    assert _same(base, tiny_components(3))
    assert base.noise == tiny_components(3).noise


def test_every_part_loads_in_the_plain_classes(written: Path) -> None:
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPImageProcessor

    unet = UNet2DConditionModel.from_pretrained(written, subfolder="unet")
    assert torch.equal(unet.conv_in.weight, tiny_components(3).unet.conv_in.weight)
    assert AutoencoderKL.from_pretrained(written, subfolder="vae").config.latent_channels == 4
    assert DDIMScheduler.from_pretrained(written, subfolder="scheduler").config.beta_start == 0.00085
    assert CLIPImageProcessor.from_pretrained(written / "feature_extractor").crop_size["height"] == 16


def test_pickled_weights_are_read_by_the_restricted_reader(folder: Path) -> None:
    for part, stem in (("unet", "diffusion_pytorch_model"), ("image_encoder", "model")):
        path = folder / part / f"{stem}.safetensors"
        torch.save(load_file(path), folder / part / f"{stem.replace('model', 'pytorch_model', 1)}.bin") if (
            stem == "model"
        ) else torch.save(load_file(path), folder / part / f"{stem}.bin")
        path.unlink()
    assert _same(load_base(folder), tiny_components(3))


def test_pickle_that_would_run_code_is_refused(folder: Path) -> None:
    class Call:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"conv_in.weight": Call()}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"diffusion_pytorch_model\.bin: refused"):
        load_base(folder)


def test_vae_with_the_old_names_of_its_attention_is_read(folder: Path) -> None:
    """The published VAE, which has attention as the tiny one has not, was saved before diffusers 0.12."""
    with_attention = replace(tiny_components(3), vae=AutoencoderKL(block_out_channels=(8,), norm_num_groups=4))
    save_base(with_attention, folder)
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    old = {}
    for name, tensor in load_file(path).items():
        for new, before in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            name = name.replace(f".{new}.", f".{before}.")
        old[name] = tensor[:, :, None, None] if ".query.weight" in name else tensor
    assert any(".proj_attn." in name for name in old)
    save_file(old, path)
    assert _same(load_base(folder), with_attention)


def test_encoder_with_position_numbers_of_old_transformers_is_read(folder: Path) -> None:
    path = folder / "image_encoder" / "model.safetensors"
    numbers = {"model.vision_model.embeddings.position_ids": torch.arange(5)[None]}
    save_file({**load_file(path), **numbers}, path)
    assert _same(load_base(folder), tiny_components(3))


def test_half_precision_files_become_float32(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)
    assert load_base(folder).unet.conv_in.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("vae/config.json", r"pbe/vae/config\.json: missing"),
        ("scheduler/scheduler_config.json", r"pbe/scheduler/scheduler_config\.json: missing"),
        (
            "image_encoder/model.safetensors",
            r"pbe/image_encoder: neither model\.safetensors nor pytorch_model\.bin",
        ),
        ("unet/diffusion_pytorch_model.safetensors", r"pbe/unet: neither .*save_pretrained"),
    ],
)
def test_missing_file_is_named(folder: Path, lost: str, message: str) -> None:
    (folder / lost).unlink()
    with pytest.raises(CheckpointError, match=message):
        load_base(folder)


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("unet/config.json", "in_channels", 4, r"unet.* does not fit the model|4 input channels, expected 9"),
        (
            "unet/config.json",
            "_class_name",
            "AutoencoderKL",
            r"of a AutoencoderKL, expected a UNet2DConditionModel",
        ),
        (
            "scheduler/scheduler_config.json",
            "prediction_type",
            "sample",
            "'sample'; expected epsilon or v_prediction",
        ),
    ],
)
def test_other_model_is_refused(folder: Path, part: str, key: str, value: object, message: str) -> None:
    path = folder / part
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(CheckpointError, match=message):
        load_base(folder)


def test_controlnet_of_diffusers_is_read(tmp_path: Path) -> None:
    control = new_controlnet(tiny_components(0), 6)
    control.save_pretrained(tmp_path / "control")
    loaded = load_controlnet(tmp_path / "control").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in control.state_dict().items())


def test_name_on_the_hub_is_fetched_part_by_part(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: dict[str, object] = {}

    def fetch(name: str, **options: object) -> str:
        asked.update(name=name, **options)
        return str(written)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert find_base("owner/pbe") == written
    assert asked["name"] == "owner/pbe"
    assert "unet/*.safetensors" in str(asked["allow_patterns"])
    assert "safety_checker" not in str(asked["allow_patterns"])


def test_base_that_is_nowhere_is_an_error_that_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="base 'nowhere': no such folder"):
        find_base("nowhere")
    with pytest.raises(CheckpointError, match="base owner/none: cannot be fetched"):
        find_base("owner/none")  # the hub is offline in tests
