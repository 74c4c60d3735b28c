"""Runs that are killed, starved or damaged in a process of their own, and what a resumed run makes of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.shared.engine.tiny import FaultyTask, TinyTask, metrics, network, same, train, weights

from quartet_shared.checkpoints import load_checkpoint
from quartet_shared.errors import CheckpointError, ResourceError

SCRIPT = Path(__file__).with_name("tiny.py")
PLAIN = {"max_steps": 30, "checkpoint_every": 4, "validate_every": 7, "log_every": 3}
EVERYTHING = {
    **PLAIN,
    "ema_decay": 0.9,
    "accumulate": 2,
    "precision": "bf16",
    "workers": 1,
    "clip_norm": 0.5,
    "warmup_steps": 5,
    "schedule": "poly",
}
HALF = {**PLAIN, "precision": "fp16", "optimizer": "sgd", "ema_decay": 0.5}


def start(run: Path, settings: dict, *rest: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, run, json.dumps(settings), *rest],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def run_whole(path: Path, settings: dict) -> None:
    """The same run, never stopped."""
    train(path, TinyTask(network(norm=True)), **settings)


def assert_equal_runs(a: Path, b: Path, step: int = 30) -> None:
    assert same(weights(a), weights(b))
    assert same(weights(a, "best"), weights(b, "best"))
    assert metrics(a) == metrics(b)
    states = [load_checkpoint(path / "checkpoints" / f"step-{step:08d}") for path in (a, b)]
    for group in ("model", "optim"):
        assert same(states[0].tensors(group), states[1].tensors(group))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "kills"),
    # The first kill of `plain` comes before there is a checkpoint; the second counts from the resumed step.
    [(PLAIN, (3, 13)), (EVERYTHING, (10, 9)), (HALF, (14, 5))],
    ids=["plain", "everything", "half"],
)
def test_a_run_killed_twice_ends_bit_equal_to_one_never_stopped(tmp_path, settings, kills):
    run_whole(tmp_path / "whole", settings)
    calls = settings.get("accumulate", 1)
    for i, steps in enumerate(kills):
        rest = ["--resume"] if i else []
        killed = start(tmp_path / "killed", settings, *rest, f"kill={steps * calls}")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    finished = start(tmp_path / "killed", settings, "--resume")
    assert finished.returncode == 0, finished.stderr
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 3])
def test_a_run_killed_inside_a_checkpoint_write_keeps_the_one_before_and_cleans_up(tmp_path, number):
    run_whole(tmp_path / "whole", EVERYTHING)
    killed = tmp_path / "killed"
    assert start(killed, EVERYTHING, f"kill-in-checkpoint={number}").returncode == -signal.SIGKILL
    names = sorted(path.name for path in (killed / "checkpoints").iterdir() if path.name != "best")
    assert names == [f".tmp-step-{4 * number:08d}", *(f"step-{4 * i:08d}" for i in range(1, number))]
    assert start(killed, EVERYTHING, "--resume").returncode == 0
    assert not list((killed / "checkpoints").glob(".*"))
    assert_equal_runs(tmp_path / "whole", killed)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_saves_at_the_step_boundary_and_the_run_is_resumable(tmp_path, name, code):
    run_whole(tmp_path / "whole", PLAIN)
    stopped = tmp_path / "stopped"
    assert start(stopped, PLAIN, f"{name}=10").returncode == code
    assert (stopped / "STATUS").read_text().strip() == "interrupted"
    assert load_checkpoint(stopped / "checkpoints" / "step-00000010").step == 10
    assert start(stopped, PLAIN, "--resume").returncode == 0
    assert_equal_runs(tmp_path / "whole", stopped)


@pytest.mark.slow
def test_a_full_disk_is_a_resource_error_that_leaves_the_checkpoint_before_intact(tmp_path):
    failed = start(tmp_path / "run", PLAIN, "disk-full=6")
    assert failed.returncode == ResourceError.exit_code, failed.stderr
    assert "Traceback" not in failed.stderr
    assert (tmp_path / "run" / "STATUS").read_text().strip() == "failed"
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "step-00000004").step == 4
    assert not list((tmp_path / "run" / "checkpoints").glob(".tmp-*"))
    run_whole(tmp_path / "whole", PLAIN)
    assert start(tmp_path / "run", PLAIN, "--resume").returncode == 0
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
def test_a_killed_loader_worker_is_a_resource_error_that_names_the_setting(tmp_path):
    failed = start(tmp_path / "run", {**PLAIN, "workers": 2}, "kill-worker")
    assert failed.returncode == ResourceError.exit_code, failed.stderr
    assert "workers=2 loader processes died" in failed.stderr
    assert "Traceback" not in failed.stderr


class _Stop(Exception):
    pass


class _Stopping(TinyTask):
    """Fails in one step."""

    def __init__(self, step):
        super().__init__(network(norm=True))
        self.left = step

    def loss(self, batch):
        self.left -= 1
        if self.left == 0:
            raise _Stop
        return super().loss(batch)


def test_a_flipped_bit_in_the_newest_checkpoint_falls_back_to_the_one_before(tmp_path, caplog):
    run_whole(tmp_path / "whole", PLAIN)
    broken = tmp_path / "broken"
    with pytest.raises(_Stop):
        train(broken, _Stopping(11), **PLAIN)
    newest = broken / "checkpoints" / "step-00000008" / "model.safetensors"
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(content)
    train(broken, TinyTask(network(norm=True)), resume=True, **PLAIN)
    assert "damaged checkpoint skipped" in caplog.text
    assert "step-00000008/model.safetensors" in caplog.text
    assert_equal_runs(tmp_path / "whole", broken)


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    run_whole(tmp_path, PLAIN)
    before, kept = metrics(tmp_path), weights(tmp_path)
    result = train(tmp_path, FaultyTask("", 0), resume=True, **PLAIN)
    assert (result.stopped, result.step) == ("finished", 30)
    assert metrics(tmp_path) == before
    assert same(weights(tmp_path), kept)


def test_resuming_where_there_is_no_checkpoint_yet_starts_from_the_beginning(tmp_path):
    run_whole(tmp_path / "whole", PLAIN)
    with pytest.raises(_Stop):
        train(tmp_path / "early", _Stopping(4), **PLAIN)
    train(tmp_path / "early", TinyTask(network(norm=True)), resume=True, **PLAIN)
    assert_equal_runs(tmp_path / "whole", tmp_path / "early")


def test_the_checkpoint_of_another_model_is_refused(tmp_path):
    run_whole(tmp_path, PLAIN)
    with pytest.raises(CheckpointError, match=r"step-00000030/model\.safetensors does not fit the model"):
        train(tmp_path, TinyTask(network()), resume=True, **PLAIN)
