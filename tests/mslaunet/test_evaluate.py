from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mslaunet._shared.errors import DataError
from mslaunet._shared.io.images import write_png
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


# --- classes and masks of a folder


def test_classes_first_seen_in_a_later_case_are_absent_in_the_earlier_ones() -> None:
    pairs = [_pair("a", [[1, 1]], [[1, 1]]), _pair("b", [[0, 3]], [[0, 3]])]
    evaluation = evaluate_pairs(pairs, None)
    statuses = [(row.case_id, row.label, row.status) for row in evaluation.rows]
    assert statuses == [("a", 1, "defined"), ("a", 3, "both_empty"), ("b", 1, "both_empty"), ("b", 3, "defined")]
    assert len(evaluation.transunet) == len({(row.name, row.metric) for row in evaluation.transunet})


def test_every_mask_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mslaunet.pairs as pairs

    write_synthetic("nnunet", tmp_path, cases=2, slices=2)
    (tmp_path / "dataset.json").unlink()
    seen: list[str] = []
    honest = pairs.read_labels
    monkeypatch.setattr(pairs, "read_labels", lambda path: (seen.append(path.name), honest(path))[1])
    evaluate_folders(tmp_path / "labelsTr", tmp_path / "labelsTr", quiet=True)
    assert len(seen) == 4  # two cases, reference and prediction


def _write_masks(folder: Path, masks: dict[str, list[list[int]]]) -> Path:
    for name, values in masks.items():
        write_png(folder / f"{name}.png", np.array(values, np.uint8))
    return folder


def test_an_empty_mask_and_a_binary_one_mean_the_same_folder(tmp_path: Path) -> None:
    folder = _write_masks(tmp_path, {"a": [[0, 0]], "b": [[0, 255]], "c": [[0, 1]]})
    evaluation = evaluate_folders(folder, folder, quiet=True)
    assert {row.label for row in evaluation.rows} == {1}


def test_a_folder_whose_files_disagree_about_pixel_values_is_refused(tmp_path: Path) -> None:
    for first, second in (("a", "b"), ("b", "a")):
        folder = _write_masks(tmp_path / first, {first: [[0, 255]] * 4, second: [[0, 2]] * 4})
        with pytest.raises(DataError, match=r"--masks"):
            evaluate_folders(folder, folder, quiet=True)


def test_the_meaning_of_pixel_values_can_be_given(tmp_path: Path) -> None:
    folder = _write_masks(tmp_path, {"a": [[0, 255]], "b": [[0, 2]]})
    evaluation = evaluate_folders(folder, folder, masks="labels", quiet=True)
    assert {row.label for row in evaluation.rows} == {2, 255}


# --- conventions of published tables


def test_the_smoothed_convention_calls_empty_against_empty_perfect() -> None:
    empty = MaskPair("a", np.zeros((2, 2), int), np.zeros((2, 2), int), None)
    half = MaskPair("b", np.array([[1, 1]]), np.array([[1, 0]]), None)
    evaluation = evaluate_pairs([empty, half], {0: "background", 1: "polyp"})
    smoothed = {row.metric: row.mean for row in evaluation.smoothed if row.label is None}
    assert smoothed["dice"] == pytest.approx((1 + 3 / 4) / 2)
    assert smoothed["iou"] == pytest.approx((1 + 2 / 3) / 2)
    assert class_mean(evaluation, "dice").mean == pytest.approx(2 / 3)  # ours: the empty pair is undefined


def test_volumes_have_no_smoothed_convention() -> None:
    volume = np.ones((2, 2, 2), int)
    assert evaluate_pairs([MaskPair("a", volume, volume, (1, 1, 1))], {1: "liver"}).smoothed == ()


# --- what predict leaves beside its masks


def test_confidence_maps_become_a_calibration(tmp_path: Path) -> None:
    folder = _write_masks(tmp_path / "ref", {"a": [[0, 1, 1, 1]]})
    predicted = _write_masks(tmp_path / "pred", {"a": [[0, 1, 1, 0]]})
    (predicted / "uncertainty").mkdir()
    confidence = np.array([[1.0, 0.95, 0.95, 0.6]])
    write_png(predicted / "uncertainty" / "a_confidence.png", np.rint(confidence * 65535).astype(np.uint16))
    calibration = evaluate_folders(folder, predicted, quiet=True).calibration
    assert calibration is not None
    assert calibration.count == (1, 2)  # background that both agree on is left out
    assert calibration.accuracy == (0.0, 1.0)
    assert calibration.ece == pytest.approx((0.6 + 2 * 0.05) / 3, abs=1e-4)


def test_a_confidence_map_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = _write_masks(tmp_path, {"a": [[0, 1]]})
    (folder / "uncertainty").mkdir()
    write_png(folder / "uncertainty" / "a_confidence.png", np.zeros((3, 3), np.uint16))
    with pytest.raises(DataError, match=r"confidence map is \(3, 3\), the mask \(1, 2\)"):
        evaluate_folders(folder, folder, quiet=True)


@pytest.mark.slow
def test_hd95_of_an_organ_in_a_full_ct_takes_less_than_a_second() -> None:
    """Masks are cropped to their joint box: 512 x 512 x 120 voxels around an organ of 60^3 cost nothing."""
    import time

    reference = np.zeros((512, 512, 120), np.uint8)
    reference[200:260, 220:280, 30:90] = 1
    predicted = np.roll(reference, 3, axis=0)
    started = time.process_time()
    evaluation = evaluate_pairs([MaskPair("a", predicted, reference, (0.8, 0.8, 3.0))], {1: "liver"})
    assert class_mean(evaluation, "hd95_mm").mean == pytest.approx(2.4)
    assert time.process_time() - started < 3
