"""DICOM SEG: what highdicom and pydicom read back, and what is never said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.mslaunet.predict.known import RoundNine, predictor
from typer.testing import Result

from mslaunet._shared.errors import ConfigError, DataError
from mslaunet._shared.io.dicom import find_series, read_series
from mslaunet._shared.io.dicom_write import synthetic_uid, write_dicom
from mslaunet.data.dataset import Case
from mslaunet.predict import find_cases, predict_files
from mslaunet.predict.dicom_seg import write_dicom_seg

CANARY = "Canary^Yvonne"
CLASSES = {0: "background", 1: "liver", 2: "spleen"}


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Five sagittal slices, stored from right to left, whose intensities tell classes 0..8."""
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 9, (6, 8)).astype(np.int16)
        write_dicom(
            tmp_path / "scan" / f"{9 - number}.dcm",
            np.rint(pixels / 9 * 400).astype(np.int16),
            modality="CT",
            series_uid=synthetic_uid("s"),
            study_uid=synthetic_uid("t"),
            instance_number=number + 1,
            position_mm=(40 - 3 * number, -10, 20),
            orientation=(0, 1, 0, 0, 0, -1),
            spacing_mm=(0.8, 0.6),
            intercept=-125,
            elements={"PatientName": CANARY, "PatientID": "Canary-17"},
        )
    return tmp_path / "scan"


def test_each_segment_lies_on_the_pixels_of_its_slices(series: Path, tmp_path: Path) -> None:
    """Read by highdicom alone: frame by frame the class that the stored pixel values tell."""
    import highdicom
    import pydicom

    model = predictor(RoundNine(), {})
    predict_files(model, find_cases(series, 1), tmp_path / "out", output_format="dicom-seg", quiet=True)
    seg = highdicom.seg.segread(tmp_path / "out" / "scan.dcm")
    sources = [pydicom.dcmread(path) for path in sorted(series.iterdir())]
    pixels = seg.get_pixels_by_source_instance(
        [data.SOPInstanceUID for data in sources], combine_segments=True, assert_missing_frames_are_empty=True
    )
    expected = np.stack([np.rint(data.pixel_array / 400 * 9) for data in sources])
    assert np.array_equal(pixels, expected)
    assert seg.PatientID == "Canary-17"  # the standard files a SEG with its patient and study
    assert seg.StudyInstanceUID == sources[0].StudyInstanceUID
    assert [seg.get_segment_description(i).segment_label for i in (1, 2)] == ["class_1", "class_2"]


def test_nifti_of_the_same_series_has_the_same_labels(series: Path, tmp_path: Path) -> None:
    from mslaunet._shared.io.volumes import read_labels, require_same_grid

    predict_files(predictor(), find_cases(series, 1), tmp_path / "out", quiet=True)
    volume, labels = read_series(find_series(series)[0]), read_labels(tmp_path / "out" / "scan.nii.gz")
    require_same_grid(volume, labels)
    assert np.array_equal(labels.array, np.rint((volume.array + 125) / 400 * 9))


def test_a_seg_needs_a_dicom_series(tmp_path: Path) -> None:
    case = Case("scan", (tmp_path / "scan.nii.gz",))
    with pytest.raises(ConfigError, match=r"scan.nii.gz: a DICOM SEG refers to a DICOM series"):
        predict_files(predictor(), [case], tmp_path / "out", output_format="dicom-seg", quiet=True)
    assert not (tmp_path / "out").exists()


def test_an_element_that_a_seg_needs_is_named(series: Path, tmp_path: Path) -> None:
    import pydicom

    for path in series.iterdir():
        data = pydicom.dcmread(path)
        del data.StudyID
        data.save_as(path)
    with pytest.raises(DataError, match=r"lacks or garbles an element that a SEG must repeat \(StudyID\)"):
        predict_files(predictor(), find_cases(series, 1), tmp_path / "o", output_format="dicom-seg", quiet=True)
    assert not (tmp_path / "o" / "scan.dcm").exists()


def test_a_seg_that_comes_back_changed_is_removed(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mslaunet.predict.dicom_seg as module

    honest = module._build
    monkeypatch.setattr(
        module, "_build", lambda sources, frames, *more: honest(sources, frames[::-1].copy(), *more)
    )
    found = find_series(series)[0]
    volume = read_series(found)
    labels = (volume.array > 100).astype(np.uint8)
    files = [item.path for item in found.slices]
    with pytest.raises(DataError, match=r"seg.dcm: the SEG reads back differently"):
        write_dicom_seg(tmp_path / "seg.dcm", labels, volume, files, CLASSES)
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.filterwarnings("error")
def test_no_message_and_no_record_names_the_patient(
    series: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predict_files(predictor(), find_cases(series, 1), tmp_path / "out", output_format="dicom-seg", quiet=True)
    assert "Canary" not in caplog.text
    assert "Canary" not in (tmp_path / "out" / "predictions.json").read_text()


def test_several_series_of_a_folder_are_numbered(series: Path) -> None:
    for number in range(3):
        write_dicom(
            series / f"other{number}.dcm",
            np.zeros((4, 4), np.int16),
            modality="CT",
            series_uid=synthetic_uid("second"),
            study_uid=synthetic_uid("t"),
            position_mm=(0, 0, 2 * number),
        )
    assert [case.case_id for case in find_cases(series, 1)] == ["scan_1", "scan_2"]


def test_the_command_writes_segs_of_a_folder_of_series(
    series: Path, volume_model: Path, tmp_path: Path, run_cli: Callable[..., Result]
) -> None:
    command = ("predict", series, "--model", volume_model, "--out", tmp_path / "out", "--format", "dicom-seg")
    result = run_cli(*command, "--quiet", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "out" / "scan.dcm").is_file()
    assert "Canary" not in result.stdout + result.stderr
