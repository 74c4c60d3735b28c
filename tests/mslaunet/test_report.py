from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mslaunet._shared.errors import DataError
from mslaunet.evaluate import MaskPair, evaluate_folders, evaluate_pairs
from mslaunet.report import evaluation_text, write_evaluation
from mslaunet.review import folder_scenes, worst_cases, worst_cases_png

Run = Callable[..., Result]


def _pairs(scores: dict[str, int]) -> list[MaskPair]:
    """Cases of 20 voxels, of which as many are missed."""
    pairs = []
    for name, missed in scores.items():
        reference = np.ones((4, 5), int)
        predicted = reference.copy()
        predicted.reshape(-1)[:missed] = 0
        pairs.append(MaskPair(name, predicted, reference, (1.0, 1.0), np.full((4, 5), 0.8)))
    return pairs


def _page(directory: Path) -> str:
    """The report with its SVG charts decoded, so that their text can be searched."""
    page = (directory / "report.html").read_text()
    charts = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", page)
    return page + "".join(base64.b64decode(chart).decode() for chart in charts)


def test_the_review_list_is_sorted_by_predicted_dice(tmp_path: Path) -> None:
    predicted = {"good": 0.97, "bad": 0.41, "fair": 0.8}
    evaluation = evaluate_pairs(_pairs({"good": 0, "bad": 12, "fair": 5}), {1: "liver"}, predicted_dice=predicted)
    write_evaluation(evaluation, tmp_path)
    section = _page(tmp_path).split("Needs review", 1)[1]
    assert section.index(">bad<") < section.index(">fair<") < section.index(">good<")
    assert "Rank correlation with the measured Dice: 1.00 over 3 cases" in section
    assert json.loads((tmp_path / "metrics.json").read_text())["predicted_dice"] == predicted


def test_without_a_record_of_predict_there_is_no_review_list(tmp_path: Path) -> None:
    pairs = [MaskPair("a", np.ones((2, 2), int), np.ones((2, 2), int), (1.0, 1.0))]
    write_evaluation(evaluate_pairs(pairs, {1: "liver"}), tmp_path)
    page = _page(tmp_path)
    assert "Needs review" not in page
    assert "Calibration" not in page


def test_the_report_has_a_strip_per_class_and_a_reliability_diagram(tmp_path: Path) -> None:
    write_evaluation(evaluate_pairs(_pairs({"a": 1, "b": 2}), {1: "liver & co"}), tmp_path)
    page = _page(tmp_path)
    assert "Dice of a case" in page
    assert "liver &amp; co" in page
    assert "fraction that is right" in page
    assert "Expected calibration error" in page


def test_the_worst_cases_come_first() -> None:
    evaluation = evaluate_pairs(_pairs({"good": 0, "bad": 12, "fair": 5}), {1: "liver"})
    assert [name for name, _, _ in worst_cases(evaluation)] == ["bad", "fair", "good"]


def test_the_text_shows_both_conventions() -> None:
    text = evaluation_text(
        evaluate_pairs([MaskPair("a", np.zeros((2, 2), int), np.ones((2, 2), int), None)], {1: "x"})
    )
    assert 'policy "undefined"' in text
    assert "TransUNet convention" in text
    assert "Official CVC-ClinicDB convention" in text


@pytest.mark.parametrize("layout", ["volumes", "images"])
def test_overlays_of_the_worst_cases_are_drawn(
    layout: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue(layout)
    references, images = (
        (data / "labelsTr", data / "imagesTr") if layout == "volumes" else (data / "masks", data / "images")
    )
    evaluation = evaluate_folders(references, references, quiet=True)
    picture = worst_cases_png(evaluation, folder_scenes(references, references, images, "auto"), limit=2)
    write_evaluation(evaluation, tmp_path, picture)
    assert "data:image/png" in _page(tmp_path)
    shutil.copytree(images, tmp_path / "others")
    for path in (tmp_path / "others").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    with pytest.raises(DataError, match="no image named"):
        worst_cases_png(evaluation, folder_scenes(references, references, tmp_path / "others", "auto"))


def test_images_without_a_report_are_refused(volumes: Path, run_cli: Run) -> None:
    result = run_cli("evaluate", volumes / "labelsTr", volumes / "labelsTr", "--images", volumes / "imagesTr")
    assert result.exit_code == 2
    assert "--run-dir" in result.stderr
