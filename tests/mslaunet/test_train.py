"""Training as a whole: killed and resumed, in two processes, from weights that the seed decides."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.mslaunet.conftest import TINY

from mslaunet._shared.checkpoints import load_model
from mslaunet.config import Config, DataConfig
from mslaunet.train import build_model, engine_settings


def _command(data: Path, run_dir: Path, *more: str) -> list[str]:
    settings = ["train.max_steps=24", "train.checkpoint_every=3", "train.validate_every=8", "train.ema_decay=0.9"]
    options = [part for setting in (*settings, "model.dropout=0.1") for part in ("--set", setting)]
    arguments = ["train", str(data), "--run-dir", str(run_dir), *TINY, *options, "--quiet", "--resume", *more]
    return [sys.executable, "-m", "mslaunet", *arguments]


def _weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_model(run_dir / "checkpoints" / "last")[0]


def _records(run_dir: Path) -> list[dict[str, object]]:
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    clock = ("time", "seconds", "elapsed_s", "elapsed")
    return [{k: v for k, v in json.loads(line).items() if k not in clock} for line in lines]


@pytest.mark.slow
def test_killed_in_mid_epoch_and_resumed_ends_bit_equal(volumes: Path, tmp_path: Path) -> None:
    subprocess.run(_command(volumes, tmp_path / "whole"), check=True, timeout=200)
    cut = tmp_path / "cut"
    process = subprocess.Popen(_command(volumes, cut))
    deadline = time.monotonic() + 120
    while not list(cut.glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    assert not (cut / "checkpoints" / "last").exists()
    subprocess.run(_command(volumes, cut), check=True, timeout=200)
    whole, resumed = _weights(tmp_path / "whole"), _weights(cut)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert _records(tmp_path / "whole") == _records(cut)


@pytest.mark.slow
def test_two_processes_log_the_losses_of_one(volumes: Path, tmp_path: Path) -> None:
    """Norm statistics frozen, no dropout: the batch Dice is summed over the processes, so only rounding differs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).with_name("frozen_norm_training.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for prefix, name in (([sys.executable], "one"), (launch, "two")):
        command = [*prefix, str(script), str(volumes), str(tmp_path / name)]
        subprocess.run(command, check=True, timeout=200, env=environment)
    losses = [[r["loss"] for r in _records(tmp_path / name) if "lr" in r] for name in ("one", "two")]
    assert len(losses[0]) == 6
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0][0] != losses[0][-1]


def test_the_seed_alone_decides_the_initial_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(123 + seed)  # the global generator must not matter
        config = Config(data=DataConfig(root=Path()), model={"variant": "tiny"}, train={"seed": seed})
        return build_model(config, num_classes=2, in_channels=1).seg.weight

    state = torch.random.get_rng_state()
    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
    torch.random.set_rng_state(state)


@pytest.mark.parametrize("switch", [False, True])
def test_the_learning_rate_is_scaled_by_the_batch_only_under_the_switch(switch: bool) -> None:
    """T13."""
    compat = {"batch_scaled_lr": switch}
    config = Config(data=DataConfig(root=Path()), train={"lr": 0.05, "batch_size": 10}, compat=compat)
    assert engine_settings(config).lr == pytest.approx(0.05 * 10 / 24 if switch else 0.05)


def test_without_a_validation_part_nothing_is_monitored() -> None:
    config = Config(data=DataConfig(root=Path(), split="none"), train={"monitor": "dice"})
    assert engine_settings(config).monitor is None
