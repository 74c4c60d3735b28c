"""One, two and four processes on gloo with the same global batch: the same losses, weights and centres."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cmcgns._shared.config import load_config
from cmcgns.config import Config
from cmcgns.train import build_model

SCRIPT = Path(__file__).with_name("pretraining.py")


def run(folder: Path, processes: int, method: str, *sets: str) -> Path:
    launcher = [sys.executable] if processes == 1 else [sys.executable, "-m", "torch.distributed.run"]
    options = [] if processes == 1 else ["--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*launcher, *options, str(SCRIPT), str(folder), method, *sets], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def losses(folder: Path, stage: str) -> list[dict[str, float]]:
    records = [json.loads(line) for line in (folder / stage / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in r.items() if k not in ("elapsed_s", "split")} for r in records if r["split"] == "train"
    ]


def assert_same_run(one: Path, other: Path, stage: str) -> None:
    """Losses, gradients (as what SGD made of the weights) and centres agree to 1e-5."""
    expected, got = losses(one, stage), losses(other, stage)
    assert len(expected) == 6
    for a, b in zip(expected, got, strict=True):
        assert b == pytest.approx(a, abs=1e-5), a["step"]
    weights, same = (load_file(f / stage / "checkpoints" / "last" / "model.safetensors") for f in (one, other))
    assert weights.keys() == same.keys()
    for name, value in weights.items():
        assert (value.double() - same[name].double()).abs().max() <= 1e-5, name


# SGD without clipping: its steps are the gradients themselves; AdamW would divide them by their size and hide errors.
SGD = [f"{stage}.{item}" for stage in ("stage1", "stage2") for item in ("optimizer=sgd", "lr=0.05", "momentum=0")]


@pytest.mark.slow
def test_cmcgns_does_not_depend_on_the_number_of_processes(tmp_path) -> None:
    sets = [*SGD, "loss.image_weight=0.5"]  # every loss that there is
    one = run(tmp_path / "one", 1, "cmcgns", *sets) / "cmcgns"
    for processes in (2, 4):
        other = run(tmp_path / str(processes), processes, "cmcgns", *sets) / "cmcgns"
        assert_same_run(one, other, "stage1")
        assert_same_run(one, other, "stage2")
    state = load_file(one / "stage1" / "checkpoints" / "last" / "model.safetensors")
    assert state["clusters.clock"][2] == 6  # the centres that were compared exist
    before = tiny_weights(one)
    assert any(
        (state[name] - before[name]).abs().max() > 1e-2 for name in before
    )  # and there was something to learn


@pytest.mark.slow
def test_other_methods_do_not_depend_on_the_number_of_processes(tmp_path) -> None:
    one, two = (run(tmp_path / str(n), n, "convirt,gloria,mgca", *SGD) for n in (1, 2))
    for method in ("convirt", "gloria", "mgca"):
        assert_same_run(one / method, two / method, "stage1")


def tiny_weights(run_dir: Path) -> dict[str, torch.Tensor]:
    """The weights that the run began with."""
    config = load_config(Config, run_dir / "stage1" / "config.toml")
    return {f"model.{name}": value for name, value in build_model(config).state_dict().items()}
