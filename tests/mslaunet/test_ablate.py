"""Ablations: one factor at a time, equal work, paired by seed, resumable."""

import json

import pytest

from mslaunet._shared.engine.config import TrainConfig
from mslaunet._shared.errors import ConfigError
from mslaunet.ablate import ARMS, REFERENCE, ablate, seed_interval, summarise, variation
from mslaunet.config import Config, DataConfig, ModelConfig
from mslaunet.model import MSLAUNet

STEPS = ["--steps", 1, "--seeds", 2, "--device", "cpu", "--quiet"]
TINY = ["--set", "model.variant=tiny", "--set", "data.side_px=64", "--set", "train.batch_size=4"]


def config(root, **train):
    settings = TrainConfig(**({"max_steps": 1, "batch_size": 4} | train))
    return Config(data=DataConfig(root=root, side_px=64), model=ModelConfig(variant="tiny"), train=settings)


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_changes_one_factor_of_the_network(arm, tmp_path):
    base = config(tmp_path)
    changed = variation(base, arm, seed=3)
    before, after = base.model.model_dump(), changed.model.model_dump()
    different = {name for name in before if before[name] != after[name]}
    assert different == set(ARMS[arm])
    assert len(different) == (0 if arm == REFERENCE else 1)
    assert changed.train.seed == 3
    assert changed.data.split_seed == base.train.seed  # the same patients validate in every run
    for name, value in ARMS[arm].items():
        built = MSLAUNet.variant("tiny", 2, **{name: value}).config[name]
        assert built == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.slow
def test_an_ablation_is_resumed_without_training_again(volumes, tmp_path, run_cli):
    command = ["ablate", volumes, "--run-dir", tmp_path / "a", *STEPS, "--arm", "softmax", *TINY]
    first = run_cli(*command, "--json")
    assert first.exit_code == 0, first.stderr
    result = json.loads(first.stdout)
    assert {arm: sorted(scores) for arm, scores in result["scores"].items()} == {
        "corrected": ["0", "1"],
        "softmax": ["0", "1"],
    }
    difference = result["arms"]["softmax"]["difference"]
    assert difference["n"] == 2
    assert difference["low"] <= difference["mean"] <= difference["high"]
    log = tmp_path / "a" / "softmax" / "seed-1" / "metrics.jsonl"
    written = log.read_bytes()
    assert run_cli(*command).exit_code == 2  # not without --resume
    again = run_cli(*command, "--resume")
    assert again.exit_code == 0, again.stderr
    assert "softmax swapped" in again.stdout
    assert log.read_bytes() == written
    assert json.loads((tmp_path / "a" / "ablation.json").read_text()) == result


def test_unequal_work_and_other_starts_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"set train.max_steps, and neither train.max_minutes nor patience"):
        variation(config(tmp_path, max_minutes=1.0), "layout", 0)
    with pytest.raises(ConfigError, match="arm 'colour' is unknown; choose from corrected, layout"):
        ablate(config(tmp_path), tmp_path / "a", arms=["colour"])
    official = config(tmp_path).model_copy(update={"model": ModelConfig(preset="official")})
    with pytest.raises(ConfigError, match="starts from the preset 'corrected', got 'official'"):
        ablate(official, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_differences_are_paired_by_seed():
    scores = {"corrected": {"0": 0.5, "1": 0.7, "2": 0.9}, "layout": {"0": 0.4, "1": 0.6, "2": 0.8}}
    arms = summarise(scores)["arms"]
    assert arms["corrected"]["dice"]["high"] - arms["corrected"]["dice"]["low"] > 0.5
    assert arms["layout"]["difference"]["low"] == pytest.approx(-0.1)
    assert arms["layout"]["difference"]["high"] == pytest.approx(-0.1)


def test_one_seed_has_no_interval():
    assert seed_interval([0.4]) == (0.4, None, None, None, 1)
