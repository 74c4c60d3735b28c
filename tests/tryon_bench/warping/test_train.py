"""Training the warp: it learns, resumes bit-equal, and its weights are a method; what it cannot use is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import Result

from tryon_bench._shared.checkpoints import save_model
from tryon_bench._shared.config import load_config
from tryon_bench._shared.errors import CheckpointError, ConfigError, DataError
from tryon_bench.data.open import open_dataset
from tryon_bench.methods.catalogue import with_compose
from tryon_bench.synth.write import write_synthetic
from tryon_bench.tps import control_grid
from tryon_bench.warping.config import WarpConfig
from tryon_bench.warping.method import warp_net_method
from tryon_bench.warping.model import GRID, WarpNet
from tryon_bench.warping.recipes import RECIPES, read_warp_recipe
from tryon_bench.warping.task import WarpTask, load_samples
from tryon_bench.warping.train import train_warp

Run = Callable[..., Result]
SMALL = [
    *("model.side_px=32", "model.width=8", "held_out=4", "train.batch_size=4", "train.lr=3e-3"),
    *("train.checkpoint_every=10", "train.validate_every=10", "train.warmup_steps=0"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("warping") / "set"
    write_synthetic("vitonhd", root, cases=16, size=(96, 72))
    return root


def settings(*more: str) -> WarpConfig:
    return load_config(WarpConfig, None, [*SMALL, *more], base=read_warp_recipe("tiny"))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / "last" / "model.safetensors")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_is_a_valid_run_and_the_grid_is_the_splines(name: str) -> None:
    config = load_config(WarpConfig, base=read_warp_recipe(name))
    assert config.train.monitor_mode == "min"
    np.testing.assert_allclose(WarpNet(config.model).grid.numpy(), control_grid(GRID), atol=1e-7)


def test_the_dense_map_of_the_networks_points_is_the_spline() -> None:
    from tryon_bench.tps import dense_map, fit_tps

    net = WarpNet(settings().model)
    points = control_grid(GRID) + np.random.default_rng(0).normal(0, 0.03, (GRID * GRID, 2))
    found = net.dense(torch.from_numpy(points).float()[None])[0].numpy()
    np.testing.assert_allclose(found, dense_map(fit_tps(control_grid(GRID), points), (32, 32)), atol=1e-5)


def test_it_learns_and_every_parameter_takes_part(root: Path) -> None:
    config = settings()
    torch.manual_seed(0)
    net = WarpNet(config.model)
    samples = load_samples(open_dataset(root).samples, 32, quiet=True)
    task = WarpTask(net, samples, samples[:4], config)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    batch = task.batch(range(8), [np.random.default_rng(i) for i in range(8)])
    before = task.loss(batch)
    for _ in range(60):
        optimiser.zero_grad()
        task.loss(batch)["loss"].backward()
        optimiser.step()
    after = task.loss(batch)
    assert after["mask"].item() < 0.9 * before["mask"].item()
    assert after["loss"].item() < 0.95 * before["loss"].item()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())
    assert before["smoothness"].item() == pytest.approx(0, abs=1e-3)


def test_a_run_that_was_stopped_ends_bit_equal_and_its_best_weights_are_a_method(
    root: Path, tmp_path: Path
) -> None:
    dataset = open_dataset(root)
    whole = train_warp(dataset, settings("train.max_steps=20"), tmp_path / "whole", device="cpu", quiet=True)
    assert whole.stopped == "finished"
    half = settings("train.max_steps=20", "train.max_minutes=0.000001")
    assert train_warp(dataset, half, tmp_path / "cut", device="cpu", quiet=True).stopped == "time"
    resumed = settings("train.max_steps=20")
    train_warp(dataset, resumed, tmp_path / "cut", device="cpu", resume=True, quiet=True)
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(first[name], second[name]) for name in first)
    method = warp_net_method(tmp_path / "whole")
    assert method.version == warp_net_method(tmp_path / "whole" / "checkpoints" / "best").version
    assert with_compose(method, "feather").version == f"{method.version}+feather"
    with pytest.raises(ConfigError, match="holds a run already"):
        train_warp(dataset, resumed, tmp_path / "whole", device="cpu", quiet=True)


@pytest.mark.slow
def test_killed_and_resumed_it_ends_bit_equal(root: Path, tmp_path: Path) -> None:
    often = [text.replace("checkpoint_every=10", "checkpoint_every=5") for text in SMALL]
    options = [part for text in often for part in ("--set", text)]

    def command(run: Path) -> list[str]:
        arguments = [
            "train-warp",
            str(root),
            "--recipe",
            "tiny",
            "--run-dir",
            str(run),
            "--steps",
            "60",
            "--resume",
        ]
        return [sys.executable, "-m", "tryon_bench", *arguments, "--device", "cpu", "--quiet", *options]

    subprocess.run(command(tmp_path / "whole"), check=True, timeout=200)
    cut = tmp_path / "cut"
    process = subprocess.Popen(command(cut))
    deadline = time.monotonic() + 120
    while not list(cut.glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait(20) != 0
    assert not (cut / "checkpoints" / "last").exists()
    subprocess.run(command(cut), check=True, timeout=200)
    first, second = weights(tmp_path / "whole"), weights(cut)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_is_not_resumed_on_files_that_have_changed(root: Path, tmp_path: Path) -> None:
    write_synthetic("vitonhd", tmp_path / "other", cases=16, size=(96, 72), seed=5)
    config = settings("train.max_steps=1")
    train_warp(open_dataset(root), config, tmp_path / "run", device="cpu", quiet=True)
    with pytest.raises(ConfigError, match="data differ from those that the run began with, in content_hash"):
        train_warp(
            open_dataset(tmp_path / "other"), config, tmp_path / "run", device="cpu", resume=True, quiet=True
        )


def test_what_it_cannot_train_on_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="training needs the paired setting"):
        train_warp(open_dataset(root, setting="unpaired"), settings(), tmp_path / "a", device="cpu")
    with pytest.raises(
        DataError, match=r"16 pairs, of which held_out=16 are kept apart; nothing .* --set held_out=N"
    ):
        train_warp(open_dataset(root), WarpConfig(held_out=16), tmp_path / "b", device="cpu")
    with pytest.raises(ConfigError, match="recipe 'huge' is unknown; choose one of tiny, vitonhd"):
        read_warp_recipe("huge")


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: does not exist; give the run directory"):
        warp_net_method(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="there is no such file"):
        warp_net_method(tmp_path)
    save_model(tmp_path / "other", {"a": torch.zeros(1)}, {"kind": "classifier"})
    with pytest.raises(CheckpointError, match="other: no weights of `train-warp`"):
        warp_net_method(tmp_path / "other")
    save_model(tmp_path / "odd", {"a": torch.zeros(1)}, {"kind": "warp_net", "side_px": 7})
    with pytest.raises(CheckpointError, match=r"odd/config\.json: not the settings"):
        warp_net_method(tmp_path / "odd")
    save_model(tmp_path / "bare", {"a": torch.zeros(1)}, {"kind": "warp_net", "side_px": 32, "width": 8})
    with pytest.raises(CheckpointError, match="does not fit the model"):
        warp_net_method(tmp_path / "bare")


def test_train_and_run_from_the_command_line(root: Path, tmp_path: Path, run_cli: Run) -> None:
    options = [part for text in SMALL for part in ("--set", text)]
    trained = run_cli(
        *("train-warp", root, "--recipe", "tiny", "--run-dir", tmp_path / "run", "--steps", 4, "--device", "cpu"),
        *(*options, "--seed", 3, "--quiet", "--json"),
    )
    assert json.loads(trained.stdout)["pairs"] == 12
    out = ("--out", tmp_path / "out", "--setting", "unpaired", "--quiet")
    used = run_cli(
        "run", "warp_net", root, "--checkpoint", tmp_path / "run", *out, "--compose", "feather", "--json"
    )
    assert json.loads(used.stdout)["made"] == 16
    several = run_cli(
        "run", "copy_paste,warp_net", root, "--checkpoint", tmp_path / "run", "--out", tmp_path / "all"
    )
    assert several.exit_code == 0, several.stderr
    assert [len(list((tmp_path / "all" / name).glob("*.png"))) for name in ("copy_paste", "warp_net")] == [16, 16]
    assert run_cli("run", "warp_net", root, "--out", tmp_path / "b").exit_code == 2
    assert run_cli("run", "flow", root, "--checkpoint", tmp_path / "run", "--out", tmp_path / "b").exit_code == 2


def test_one_setting_of_the_training_keeps_that_less_is_better() -> None:
    assert WarpConfig.model_validate({"train": {"epochs": 3}}).train.monitor_mode == "min"
