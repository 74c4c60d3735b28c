"""Training: learns, resumes bit-equal, agrees over processes, stays finite in low precision."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.breastmri.small import breasts, config

from breastmri._shared.checkpoints import load_model
from breastmri._shared.errors import DataError
from breastmri.config import Config
from breastmri.losses import CMSLoss
from breastmri.task import Objective, build_loss, build_net, require_label
from breastmri.train import build_task, train_breasts

KINDS = ["cmsl", "sphereface2", "bce", "focal", "normface", "cosface", "arcface"]


def records(run_dir: Path) -> list[dict]:
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "time", "samples_per_s")} for row in rows]


def losses(run_dir: Path) -> list[float]:
    return [row["loss"] for row in records(run_dir) if "lr" in row]


@pytest.mark.parametrize("kind", [*KINDS, "asoftmax"])
def test_every_loss_trains_every_parameter_of_its_network(kind, tmp_path):
    loss = {"kind": kind, "center_weight": 0.1, **({"margin": 2} if kind == "asoftmax" else {})}
    settings = config(loss=loss)
    task = build_task(settings, breasts(8), breasts(4, seed=1))
    rngs = [np.random.default_rng(i) for i in range(4)]
    parts = task.loss(task.batch([0, 1, 2, 3], rngs))
    parts["loss"].backward()
    assert set(parts) == {"loss", "main", "center"}
    assert all(p.grad is not None for p in task.model.parameters())
    with torch.no_grad():
        assert 0 <= task.validate(task.model.eval())["auc"] <= 1


def test_the_margin_ramp_is_a_state_that_checkpoints_keep():
    settings = config(steps=20)
    objective = Objective(build_net(settings), settings.loss, ramp_batches=10)
    x, y = torch.randn(4, 3, 12, 20, 16), torch.tensor([0, 1, 0, 1])
    for _ in range(5):
        objective(x, y)
    assert int(objective.state_dict()["seen"]) == 5
    objective.eval()
    value = objective(x, y)["loss"]
    expected = CMSLoss(16.0, 0.35 * 0.5)(objective.net(x), y[:, None])
    torch.testing.assert_close(value, expected)
    assert int(objective.seen) == 5


def test_settings_reach_the_loss():
    cmsl = build_loss(config(loss={"margin": 0.3, "margin_neg": 0.1, "scale": 30, "pos_weight": 2}).loss)
    assert (cmsl.scale, cmsl.margin_pos, cmsl.margin_neg, float(cmsl.pos_weight)) == (30, 0.3, 0.1, 2)
    sphere = build_loss(config(loss={"kind": "sphereface2", "power_t": 2, "pos_lambda": 0.6}).loss)
    assert (sphere.power_t, sphere.pos_lambda) == (2, 0.6)
    assert build_loss(config(loss={"kind": "focal", "gamma": 3}).loss).gamma == 3
    assert build_loss(config(loss={"kind": "bce", "gamma": 3}).loss).gamma == 0


@pytest.mark.parametrize(
    ("loss", "match"),
    [
        ({"kind": "asoftmax", "margin": 0.35}, "asoftmax multiplies angles"),
        ({"kind": "cmsl", "margin": 1.5}, "margin must be below 1"),
        ({"kind": "cosface", "pos_weight": 2.0}, "pos_weight is not for the softmax loss"),
    ],
)
def test_senseless_losses_are_refused(loss, match):
    with pytest.raises(ValueError, match=match):
        config(loss=loss)


def test_a_margin_that_cannot_be_met_is_warned_of(caplog):
    with caplog.at_level("WARNING"):
        build_net(config(loss={"margin": 0.8}, embed_dim=0))
    assert "both classes reach at most 0.707" in caplog.text


def test_a_breast_without_label_is_refused():
    from dataclasses import replace

    with pytest.raises(DataError, match="without label"):
        require_label(replace(breasts(1)[0], label=None))


@pytest.mark.slow
def test_a_phantom_cohort_is_learnt(tmp_path):
    settings = config(steps=120, lr=1e-2, batch_size=16, validate_every=120)
    result = train_breasts(settings, breasts(160), breasts(60, seed=9), tmp_path / "run", quiet=True, device="cpu")
    assert result.best_metric > 0.75
    first, last = losses(tmp_path / "run")[:5], losses(tmp_path / "run")[-5:]
    assert np.mean(last) < np.mean(first)


def child_environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}


START = """
import sys, torch
from pathlib import Path
from small import breasts, config
from breastmri.train import train_breasts
torch.set_num_threads(1)
settings = config(steps=12, checkpoint_every=3, validate_every=4)
run = Path(sys.argv[1])
train_breasts(settings, breasts(16), breasts(8, seed=1), run, resume=True, quiet=True, device="cpu")
"""


@pytest.mark.slow
def test_a_killed_run_ends_bit_equal_to_one_that_was_not(tmp_path):
    command, environment = [sys.executable, "-c", START], child_environment()
    subprocess.run([*command, str(tmp_path / "whole")], check=True, timeout=200, env=environment)
    victim = subprocess.Popen([*command, str(tmp_path / "cut")], env=environment)
    deadline = time.monotonic() + 150
    while not list((tmp_path / "cut").glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    steps = [int(p.name[5:]) for p in (tmp_path / "cut" / "checkpoints").glob("step-*")]
    assert steps
    assert not (tmp_path / "cut" / "checkpoints" / "last").exists()
    subprocess.run([*command, str(tmp_path / "cut")], check=True, timeout=200, env=environment)
    for name in ("best", "last"):
        whole, cut = (load_model(tmp_path / run / "checkpoints" / name)[0] for run in ("whole", "cut"))
        assert whole.keys() == cut.keys()
        assert all(torch.equal(whole[key], cut[key]) for key in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")


@pytest.mark.slow
def test_two_processes_log_the_losses_of_one(tmp_path):
    """Norm statistics frozen: only rounding differs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).with_name("frozen_norm_training.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    environment = child_environment()
    for prefix, name in (([sys.executable], "one"), (launch, "two")):
        subprocess.run([*prefix, str(script), str(tmp_path / name)], check=True, timeout=230, env=environment)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 6
    assert one == pytest.approx(two, abs=1e-5)
    assert one[0] != one[-1]
    a, b = (load_model(tmp_path / name / "checkpoints" / "last")[0] for name in ("one", "two"))
    assert all(torch.allclose(a[key].float(), b[key].float(), atol=1e-5) for key in a)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cmsl", "bce"])
def test_bf16_training_is_stable_and_near_fp32(kind, tmp_path):
    ends = {}
    for precision in ("fp32", "bf16"):
        # a large scale and margin: where the textbook form of the loss gives infinities
        loss = {"kind": kind, "scale": 64.0, "margin": 0.5}
        settings = config(steps=30, loss=loss, precision=precision, lr=3e-3, clip_norm=1.0, batch_size=8)
        run = tmp_path / f"{kind}-{precision}"
        train_breasts(settings, breasts(32), [], run, quiet=True, device="cpu")
        values = losses(run)
        assert len(values) == 30
        assert all(v is not None and np.isfinite(v) for v in values)
        assert not [r for r in records(run) if "skipped" in str(r.get("event", ""))]
        ends[precision] = np.mean(values[-8:])
    assert ends["bf16"] == pytest.approx(ends["fp32"], rel=0.35)


def test_recipes_are_valid_settings():
    from breastmri._shared.config import load_config
    from breastmri.claims import claims_plan
    from breastmri.recipes import read_recipe, recipe_names

    plan = claims_plan()
    assert set(plan.recipes) <= set(recipe_names())
    for name in recipe_names():
        if name != "claims":
            load_config(Config, base=read_recipe(name), flags={"data.root": "somewhere"})


def test_one_setting_of_the_training_leaves_the_other_defaults_as_they_are():
    default = Config.model_validate({"data": {"root": "d"}}).train
    assert (default.lr, default.clip_norm, default.warmup_steps, default.monitor) == (1e-3, 1.0, 20, "auc")
    changed = Config.model_validate({"data": {"root": "d"}, "train": {"epochs": 3}}).train
    assert changed == default.model_copy(update={"epochs": 3})
