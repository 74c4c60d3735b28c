"""Every data set with both recipes, by the commands of the README, from training to the ONNX file that runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mslaunet._shared.io.images import read_mask
from mslaunet._shared.io.volumes import read_labels
from mslaunet.data.dataset import Case, open_dataset
from mslaunet.data.loading import load_case, slices_first
from mslaunet.data.parts import cases_of
from mslaunet.runtime import OnnxRunner

Run = Callable[..., Result]

# Recipe, layout, part that the layout brings with masks.
DATA_SETS = [
    ("synapse", "synapse", "test"),
    ("acdc", "acdc", "test"),
    ("clinicdb", "clinicdb", "test"),
    ("isic", "isic2018", "validation"),
]
# What makes a recipe fit a test: everything else is the recipe's own.
SMALL = [
    *("--set", "model.variant=tiny"),
    *("--set", "train.max_steps=3"),
    *("--set", "train.batch_size=2"),
    *("--set", "data.side_px=64"),
    *("--set", "data.resize_px=64"),
]


@pytest.fixture(scope="module")
def data_sets(tmp_path_factory: pytest.TempPathFactory, run_cli: Run) -> Callable[[str], Path]:
    """One synthetic set per layout, made once by `mslaunet synth`."""
    root = tmp_path_factory.mktemp("sets")

    def make(layout: str) -> Path:
        if not (root / layout).exists():
            _done(run_cli("synth", layout, root / layout, "--cases", 8))
        return root / layout

    return make


def _done(result: Result) -> Result:
    assert result.exit_code == 0, result.stderr
    return result


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["official", "sound"])
@pytest.mark.parametrize(("recipe", "layout", "part"), DATA_SETS)
def test_a_recipe_trains_predicts_evaluates_and_runs_as_onnx(
    recipe: str,
    layout: str,
    part: str,
    kind: str,
    data_sets: Callable[[str], Path],
    tmp_path: Path,
    run_cli: Run,
) -> None:
    data, run = data_sets(layout), tmp_path / "run"
    common = ("--device", "cpu", "--quiet", "--json")
    trained = _done(run_cli("train", data, "--run-dir", run, "--recipe", f"{recipe}-{kind}", *SMALL, *common))
    assert json.loads(trained.stdout)["steps"] == 3
    masks = tmp_path / "masks"
    predicted = _done(
        run_cli("predict", data, "--part", part, "--model", run, "--out", masks, "--uncertainty", *common)
    )
    cases = json.loads(predicted.stdout)["cases"]
    assert cases
    evaluated = _done(
        run_cli("evaluate", data, masks, "--part", part, "--run-dir", tmp_path / "scores", "--quiet", "--json")
    )
    document = json.loads(evaluated.stdout)
    assert {row["case_id"] for row in document["cases"]} == set(cases)
    assert document["calibration"]["ece"] >= 0
    assert (tmp_path / "scores" / "report.html").is_file()
    _done(run_cli("export", "--model", run, "--out", tmp_path / "exported", "--json"))
    agreement = _onnx_agreement(
        tmp_path / "exported", masks, cases_of(open_dataset(data, overlap="allow"), part)[0]
    )
    assert agreement > 0.99
    saved = json.loads((run / "checkpoints" / "best" / "config.json").read_text())
    assert saved["preprocessing"]["zoom_edge"] == (f"{recipe}-{kind}" in ("synapse-official", "acdc-official"))


def _onnx_agreement(exported: Path, masks: Path, case: Case) -> float:
    """Share of pixels of a case to which the ONNX file and `predict` give the same label."""
    runner = OnnxRunner(exported, threads=1)
    loaded = load_case(
        replace(case, mask=None),
        num_channels=runner.plan.num_channels,
        num_classes=len(runner.pipeline["classes"]),
    )
    labels = runner.segment(loaded.image, loaded.spacing_mm)
    if loaded.volume is None:
        written = read_mask(masks / f"{case.case_id}.png", binary=True).array[None]
    else:
        written = slices_first(read_labels(masks / f"{case.case_id}.nii.gz").array)
    return float(np.mean(labels == written))


@pytest.mark.slow
def test_any_recipe_runs_on_any_data_set(data_sets: Callable[[str], Path], tmp_path: Path, run_cli: Run) -> None:
    """The recipe for RGB polyps on volumes in HU, and the one for CT on photographs."""
    for recipe, layout in (("clinicdb-official", "acdc"), ("synapse-official", "isic2018")):
        arguments = ("--run-dir", tmp_path / recipe, "--recipe", recipe, *SMALL, "--set", "data.folds=2")
        _done(run_cli("train", data_sets(layout), *arguments, "--device", "cpu", "--quiet"))
        assert (tmp_path / recipe / "STATUS").read_text().strip() == "finished"


@pytest.mark.slow
def test_every_option_of_training_works_together_and_predicts(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    """2.5-D, deep supervision, drop path, bf16, accumulation, moving average, early stop, clipping."""
    settings = [
        *("data.context_slices=1", "model.deep_supervision=true", "model.drop_path=0.1", "train.precision=bf16"),
        *("train.accumulate=2", "train.ema_decay=0.9", "train.validate_every=1", "train.patience=1"),
        *("train.clip_norm=1.0", "train.max_steps=4", "train.monitor=loss", "train.monitor_mode=min"),
        *("model.variant=tiny", "data.side_px=64", "train.batch_size=4"),
    ]
    options = [part for setting in settings for part in ("--set", setting)]
    common = ("--device", "cpu", "--quiet", "--json")
    _done(run_cli("train", volumes, "--run-dir", tmp_path / "run", *options, *common))
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any(record["split"] == "val" and record["loss"] > 0 for record in records)
    masks = tmp_path / "masks"
    predicted = run_cli(
        *("predict", volumes, "--part", "train", "--model", tmp_path / "run", "--out", masks),
        *("--window", 32, "--tta", "all", "--probabilities", "--precision", "bf16", *common),
    )
    assert json.loads(_done(predicted).stdout)["members"] == 12
    assert len(list((masks / "probabilities").glob("disc_00_class*.nii.gz"))) == 9
    _done(run_cli("evaluate", volumes / "labelsTr", masks, "--quiet"))


@pytest.mark.slow
def test_a_run_is_resumed_from_another_folder(
    data_sets: Callable[[str], Path], tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data set's path is kept absolute, however it was given."""
    data = data_sets("clinicdb")
    monkeypatch.chdir(data.parent)
    arguments = ("--run-dir", tmp_path / "run", *SMALL, "--device", "cpu", "--quiet")
    _done(run_cli("train", data.name, *arguments))
    monkeypatch.chdir(tmp_path)
    _done(run_cli("train", data, *arguments, "--resume"))


def test_a_run_that_failed_on_its_data_asks_for_no_resume(
    data_sets: Callable[[str], Path], tmp_path: Path, run_cli: Run
) -> None:
    arguments = ("--run-dir", tmp_path / "run", "--device", "cpu", "--quiet")
    failed = run_cli("train", data_sets("isic2018"), *arguments, "--set", "train.batch_size=500", *SMALL[:4])
    assert failed.exit_code == 2
    assert (tmp_path / "run" / "STATUS").read_text().strip() == "failed"
    _done(run_cli("train", data_sets("isic2018"), *arguments, *SMALL))
