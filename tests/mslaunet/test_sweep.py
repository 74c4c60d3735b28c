from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.mslaunet.conftest import TINY
from typer.testing import Result

from mslaunet._shared.errors import ConfigError
from mslaunet.config import Config, DataConfig
from mslaunet.sweep import variations

Run = Callable[..., Result]


def _config(**data: object) -> Config:
    return Config(data=DataConfig(root=Path("set"), **data), train={"seed": 7})


def test_one_training_is_left_as_it_is() -> None:
    assert variations(_config(), seeds=1, folds=None) == {"": _config()}


def test_seeds_count_up_and_keep_the_validation_patients() -> None:
    runs = variations(_config(), seeds=3, folds=None)
    assert list(runs) == ["seed-7", "seed-8", "seed-9"]
    assert [run.train.seed for run in runs.values()] == [7, 8, 9]
    assert {run.data.split_seed for run in runs.values()} == {7}


def test_folds_and_seeds_are_combined() -> None:
    runs = variations(_config(split_seed=3), seeds=2, folds=2)
    assert list(runs) == ["fold-0-seed-7", "fold-0-seed-8", "fold-1-seed-7", "fold-1-seed-8"]
    assert [(run.data.folds, run.data.fold, run.data.split_seed) for run in runs.values()][2] == (2, 1, 3)


def test_cross_validation_needs_a_validation_part() -> None:
    with pytest.raises(ConfigError, match=r"data.split is none"):
        variations(_config(split="none"), seeds=1, folds=2)


@pytest.mark.slow
def test_cross_validation_keeps_every_case_once_and_prints_mean_and_sd(
    volumes: Path, tmp_path: Path, run_cli: Run
) -> None:
    command = ("train", volumes, "--run-dir", tmp_path / "cv", "--folds", 3, "--set", "train.max_steps=1", *TINY)
    result = run_cli(*command, "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    scores = [run["best_validation"] for run in document["runs"].values()]
    assert document["best_validation"]["mean"] == pytest.approx(statistics.fmean(scores))
    assert document["best_validation"]["sd"] == pytest.approx(statistics.stdev(scores))
    assert not math.isnan(document["best_validation"]["mean"])
    held_out = []
    for name in document["runs"]:
        data = json.loads((tmp_path / "cv" / name / "data.json").read_text())
        held_out += [case["case_id"] for case in data["cases"] if "validation" in case["roles"]]
        assert all(len(case["roles"]) == 1 for case in data["cases"])
    assert sorted(held_out) == [f"disc_{i:02d}" for i in range(6)]
    assert json.loads((tmp_path / "cv" / "summary.json").read_text()) == document
    assert run_cli(*command, "--quiet").exit_code == 2  # without --resume
    image = volumes / "imagesTr" / "disc_00_0000.nii.gz"
    predicted = run_cli("predict", image, "--model", tmp_path / "cv", "--out", tmp_path / "masks", "--json")
    assert json.loads(predicted.stdout)["members"] == 3  # the folder stands for its runs
    again = run_cli(*command, "--json", "--quiet", "--resume")
    assert json.loads(again.stdout) == document
