"""Two processes on gloo, started by torchrun."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.shared.engine.tiny import TinyTask, metrics, network, train, weights

from quartet_shared.engine.distributed import main_process_first, rank, sum_across_ranks, world_size
from quartet_shared.errors import ResourceError

SCRIPT = Path(__file__).with_name("tiny.py")


def torchrun(run: Path, settings: dict, *rest: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*launcher, SCRIPT, run, json.dumps(settings), *rest],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )


def assert_close_runs(one: Path, two: Path) -> None:
    for a, b in zip(metrics(one), metrics(two), strict=True):
        assert a.keys() == b.keys()
        assert a == pytest.approx(b, abs=1e-5)
    for name, value in weights(one).items():
        torch.testing.assert_close(value, weights(two)[name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_also_for_sums_over_the_global_batch(tmp_path):
    settings = {"max_steps": 16, "accumulate": 2, "ema_decay": 0.9, "validate_every": 5, "lr": 1e-2}
    done = torchrun(tmp_path / "two", settings, "sums")
    assert done.returncode == 0, done.stderr
    train(tmp_path / "one", TinyTask(network(dropout=0.0), batch_sums=True), **settings)
    assert_close_runs(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_a_killed_process_ends_the_other_with_a_resource_error_and_the_run_is_resumable(tmp_path):
    settings = {"max_steps": 12, "checkpoint_every": 4, "validate_every": 5}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    ranks = [  # without torchrun, which would end the other one itself
        subprocess.Popen(
            [sys.executable, SCRIPT, tmp_path, json.dumps(settings), "kill-rank-1=6"],
            env={**os.environ, **meeting, "RANK": str(i), "LOCAL_RANK": str(i), "LOCAL_WORLD_SIZE": "2"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    assert ranks[1].wait(timeout=100) == -signal.SIGKILL
    _, message = ranks[0].communicate(timeout=30)
    ranks[1].communicate()
    assert ranks[0].returncode == ResourceError.exit_code, message
    assert "another process of this run died" in message
    assert (tmp_path / "STATUS").read_text().strip() == "failed"
    resumed = torchrun(tmp_path, settings, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert [r["step"] for r in metrics(tmp_path) if r["split"] == "train"] == list(range(1, 13))


@pytest.mark.slow
def test_a_batch_that_does_not_divide_over_the_processes_is_refused(tmp_path):
    refused = torchrun(tmp_path, {"batch_size": 9})
    assert refused.returncode != 0
    assert "multiple of processes x accumulate = 2 x 1, got 9: use 8" in refused.stderr


def test_one_process_needs_no_group():
    assert (world_size(), rank()) == (1, 0)
    local = torch.ones(3, requires_grad=True)
    assert sum_across_ranks(local) is local
    with main_process_first():
        pass
    assert not torch.distributed.is_initialized()
