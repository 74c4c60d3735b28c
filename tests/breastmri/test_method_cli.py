"""The commands that judge and export a model, as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from breastmri._shared.io.volumes import read_volume
from breastmri.classifier import load_classifier
from breastmri.cli import app
from breastmri.export import run_onnx

QUICK = ("--device", "cpu", "--quiet")
TINY = ("--recipe", "tiny", "--set", "data.preprocessing.size=[8, 16, 16]", "--set", "train.batch_size=4")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def ok(*arguments: object) -> dict:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def fails(code: int, words: str, *arguments: object) -> None:
    result = call(*arguments)
    lines = result.stderr.strip().splitlines()
    assert result.exit_code == code, result.stderr
    assert lines[-1].startswith("error: ")
    assert words in lines[-1]
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cli") / "data"
    assert call("synth", "nifti", root, "--cases", 20, "--seed", 3).exit_code == 0
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "run"
    result = ok("train", data, "--run-dir", path, "--set", "train.max_steps=2", *TINY, *QUICK)
    assert result["steps"] == 2
    return path


pytestmark = pytest.mark.slow


def test_train_records_what_it_saw_without_identifiers(run: Path) -> None:
    text = (run / "data.json").read_text()
    roles = [row["role"] for row in json.loads(text)["breasts"]]
    assert roles.count("train") > roles.count("validation") > 0
    assert "phantom_" not in text
    assert "patient_" not in text


def test_evaluate_writes_and_compare_reads(data: Path, run: Path, tmp_path: Path) -> None:
    judge = (data, "--model", run, "--on", "all", "--localiser", "coam", "--flips", 1, *QUICK)
    document = ok("evaluate", *judge, "--run-dir", tmp_path)
    assert document["stamp"].endswith("not for patients")
    assert document["groups"][0]["n"] == 40
    assert {row["name"] for row in document["localisers"]} == {"coam", "enhancement"}
    assert (tmp_path / "report.html").is_file()
    test = ok("compare", tmp_path, tmp_path)
    assert (test["difference"], test["undefined"]) == (0.0, "the variance of the difference is 0")


def test_a_model_is_not_judged_on_what_it_has_seen(data: Path, run: Path) -> None:
    roles = [row["role"] for row in json.loads((run / "data.json").read_text())["breasts"]]
    assert 0 < roles.count("left out") < roles.count("train")
    for on, role in (("unseen", "left out"), ("validation", "validation")):
        judge = ("evaluate", data, "--model", run, "--on", on, "--localiser", "cam", "--flips", 1, *QUICK)
        assert ok(*judge)["groups"][0]["n"] == roles.count(role)


def test_a_model_that_has_seen_everything_is_not_judged(data: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    text = (run / "data.json").read_text().replace('"left out"', '"train"')
    (tmp_path / "run" / "data.json").write_text(text)
    fails(3, "labelled breasts is left with --on unseen", "evaluate", data, "--model", tmp_path / "run", *QUICK)


def test_calibrate_changes_probabilities_and_says_what_thresholds_need(data: Path, run: Path) -> None:
    classifier = load_classifier(run, device="cpu")
    scores = np.linspace(-1, 1, 7)
    try:
        document = ok("calibrate", data, "--model", run, "--on", "all", "--kind", "platt", *QUICK)
        calibrated = load_classifier(run, device="cpu")
        assert calibrated.calibrator is not None
        assert not np.allclose(calibrated.probs(scores), classifier.probs(scores))
        assert "are needed" in document["thresholds"]["all"]["undefined"]
        assert (run / "reliability.svg").read_text().lstrip().startswith("<")
    finally:
        (run / "calibration.json").unlink(missing_ok=True)


def test_localize_writes_maps_that_lie_where_the_cells_do(data: Path, run: Path, tmp_path: Path) -> None:
    rows = ok(
        "localize", data, "--model", run, "--out", tmp_path, "--on", "validation", "--localiser", "coam", *QUICK
    )["breasts"]
    assert set(rows[0]["localisers"]) == {"coam", "enhancement"}
    volume = read_volume(tmp_path / f"{rows[0]['key']}_coam.nii.gz")
    assert sorted(np.round(volume.spacing_mm)) == [12, 16, 16]
    marked = [row for row in rows if "error_mm" in row["localisers"]["enhancement"]]
    assert marked
    assert np.median([row["localisers"]["enhancement"]["error_mm"] for row in marked]) < 15


def test_export_agrees_with_torch_for_any_batch(run: Path, tmp_path: Path) -> None:
    document = ok("export", "--model", run, "--out", tmp_path)
    assert document["largest_deviation"] < 1e-4
    assert document["preprocessing"]["size"] == [8, 16, 16]
    assert document["stamp"].endswith("not for patients")
    classifier = load_classifier(run, device="cpu")
    x = np.random.default_rng(0).normal(size=(3, 3, 8, 16, 16)).astype(np.float32)
    scores, probs, maps = run_onnx(tmp_path / "model.onnx", x)
    import torch

    with torch.inference_mode():
        expected = classifier.net(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    np.testing.assert_allclose(probs[:, 0], classifier.uncalibrated(scores[:, 0]), atol=1e-4)
    assert maps.shape == (3, 4, 4, 4)


@pytest.mark.parametrize("by", ["patients", "site"])
def test_crossval_scores_every_breast_once(data: Path, tmp_path: Path, by: str) -> None:
    settings = ("--set", "train.max_steps=1", *TINY, *QUICK)
    document = ok("crossval", data, "--run-dir", tmp_path / "cv", "--by", by, "--folds", 2, *settings)
    keys = [case["key"] for case in document["cases"]]
    assert len(keys) == len(set(keys)) == 40
    assert len(document["folds"]) == 2
    assert document["pooled"]["n"] == 40


def test_wrong_calls_end_in_one_line(data: Path, run: Path, tmp_path: Path) -> None:
    fails(2, "expected a recipe among", "train", data, "--run-dir", tmp_path / "a", "--recipe", "resnet")
    fails(2, "did you mean", "train", data, "--run-dir", tmp_path / "b", "--set", "model.back_bone=tiny")
    fails(
        2,
        "expected a localiser among",
        "localize",
        data,
        "--model",
        run,
        "--out",
        tmp_path,
        "--localiser",
        "x",
        *QUICK,
    )
    fails(4, "", "evaluate", data, "--model", tmp_path, *QUICK)
    fails(2, "holds a run already", "train", data, "--run-dir", run, *TINY, *QUICK)
