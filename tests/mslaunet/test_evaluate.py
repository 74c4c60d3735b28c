from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mslaunet._shared.errors import DataError
from mslaunet.evaluate import MaskPair, class_mean, evaluate_folders, evaluate_pairs, summary_cells, summary_table
from mslaunet.synth import write_synthetic

CLASSES = {0: "background", 1: "liver", 2: "spleen"}


def _pair(case_id: str, predicted: list[list[int]], reference: list[list[int]]) -> MaskPair:
    return MaskPair(case_id, np.array(predicted), np.array(reference), (1.0, 1.0))


def test_a_false_positive_is_zero_here_and_one_under_the_transunet_convention() -> None:
    evaluation = evaluate_pairs([_pair("a", [[1, 2, 0]], [[1, 0, 0]])], CLASSES)
    assert class_mean(evaluation, "dice").mean == pytest.approx((1 + 0) / 2)
    under_transunet = next(r for r in evaluation.transunet if r.label is None and r.metric == "dice")
    assert under_transunet.mean == pytest.approx(1.0)


def test_absent_and_not_predicted_is_counted_and_enters_no_mean() -> None:
    evaluation = evaluate_pairs([_pair("a", [[1, 1]], [[1, 1]]), _pair("b", [[1, 2]], [[1, 2]])], CLASSES)
    spleen = next(r for r in evaluation.summary if r.name == "spleen" and r.metric == "dice")
    assert (spleen.mean, spleen.n, dict(spleen.undefined)) == (1.0, 1, {"both_empty": 1})
    assert summary_cells(spleen)[2] == "1 (+ 1 both empty)"


def test_undefined_is_written_out() -> None:
    evaluation = evaluate_pairs([_pair("a", [[1, 0]], [[1, 0]])], CLASSES)
    header, rows = summary_table(evaluation, ("dice",))
    assert header == ["class", "dice", "95 % interval", "n"]
    assert rows[1][:3] == ["spleen", "undefined", "undefined"]


def test_one_patient_has_no_interval() -> None:
    evaluation = evaluate_pairs([_pair("a", [[1, 2]], [[1, 2]])], CLASSES)
    assert summary_cells(class_mean(evaluation, "dice"))[1].startswith("undefined: ")
    assert math.isnan(class_mean(evaluation, "dice").low)


def test_no_pair_is_an_error() -> None:
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate_pairs([], CLASSES)


def test_binary_photograph_masks_are_scored_in_pixels(tmp_path: Path) -> None:
    write_synthetic("folders", tmp_path / "set", cases=3)
    evaluation = evaluate_folders(tmp_path / "set" / "masks", tmp_path / "set" / "masks", quiet=True)
    assert class_mean(evaluation, "dice").mean == 1.0
    assert class_mean(evaluation, "hd95_px").mean == 0.0


def test_volume_against_image_is_refused(tmp_path: Path) -> None:
    for layout in ("folders", "nnunet"):
        write_synthetic(layout, tmp_path / layout, cases=1)
    mask = tmp_path / "folders" / "masks" / "ellipse_00.png"
    mask.rename(mask.with_name("disc_00.png"))
    with pytest.raises(DataError, match=r"disc_00.png: a volume and a 2-D image"):
        evaluate_folders(tmp_path / "nnunet" / "labelsTr", tmp_path / "folders" / "masks", quiet=True)


def test_class_names_need_no_images_beside_the_labels(tmp_path: Path) -> None:
    write_synthetic("nnunet", tmp_path, cases=1)
    shutil.rmtree(tmp_path / "imagesTr")
    evaluation = evaluate_folders(tmp_path / "labelsTr", tmp_path / "labelsTr", quiet=True)
    assert evaluation.rows[0].name == "disc_1"


def test_predictions_without_reference_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for folder, cases in (("reference", 1), ("predicted", 3)):
        write_synthetic("folders", tmp_path / folder, cases=cases)
    evaluate_folders(tmp_path / "reference" / "masks", tmp_path / "predicted" / "masks", quiet=True)
    assert "2 predictions have no reference" in caplog.text


def test_a_report_that_cannot_be_written_fails_before_the_masks_are_read(
    tmp_path: Path, run_cli: Callable[..., Result]
) -> None:
    (tmp_path / "file").touch()
    result = run_cli("evaluate", tmp_path / "none", tmp_path / "none", "--run-dir", tmp_path / "file")
    assert result.exit_code == 5, result.stderr
