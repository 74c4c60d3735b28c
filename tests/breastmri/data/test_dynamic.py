"""DICOM series become phases by positions and times, whatever names and numbers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from breastmri._shared.errors import DataError
from breastmri._shared.io.dicom_write import synthetic_uid
from breastmri.data.dynamic import find_dynamic
from breastmri.data.reading import new_study, read_dynamic
from breastmri.data.study import Study
from breastmri.phantom import PhantomConfig, make_phantom
from breastmri.synth.dicom_layouts import dicom_time, write_dicom_phase, write_dicom_study

STUDY = make_phantom(
    0, config=PhantomConfig(size=(24, 20, 11), spacing_mm=(4, 5, 6), times_s=(0, 100, 200)), kind="malignant"
).study


def write_single_series(folder: Path, study: Study = STUDY, **tags: Any) -> None:
    """All phases in one series; `tags` maps a keyword to a function of the phase, or to None to leave it out."""
    rng = np.random.default_rng(0)
    numbers = rng.permutation(study.shape[2] * len(study.phases))
    for phase in range(len(study.phases)):
        elements = {key: value(phase) if value else None for key, value in tags.items()}
        write_dicom_phase(
            folder,
            study,
            phase,
            series_uid=synthetic_uid("one"),
            study_uid=synthetic_uid("study"),
            names={z: f"f{numbers[phase * study.shape[2] + z]:04d}" for z in range(study.shape[2])},
            numbers={z: int(numbers[phase * study.shape[2] + z]) for z in range(study.shape[2])},
            elements=elements,
        )


NO_TIMES = {"AcquisitionTime": None, "ContentTime": None}


@pytest.mark.parametrize(
    "tags",
    [
        {"TemporalPositionIdentifier": lambda k: k + 1},
        {"AcquisitionNumber": lambda k: k + 1},
        {"TriggerTime": lambda k: k * 100_000.0, "AcquisitionTime": lambda k: "090000", "ContentTime": None},
        {"AcquisitionTime": None},
        {"ContentTime": None},
    ],
    ids=["temporal position", "acquisition number", "trigger time", "content time", "acquisition time"],
)
def test_phases_of_one_series_are_told_apart(tmp_path: Path, tags: dict) -> None:
    write_single_series(tmp_path, **tags)
    found = find_dynamic(tmp_path)
    study = new_study(read_dynamic(found), found)
    assert np.array_equal(study.phases, STUDY.phases)
    assert study.times_s == (0, 100, 200)
    assert np.abs(study.affine - STUDY.affine).max() < 1e-5


def test_a_series_without_any_time_is_split_by_file_order_with_a_warning(tmp_path: Path) -> None:
    write_single_series(tmp_path, **NO_TIMES)
    found = find_dynamic(tmp_path)
    assert (len(found.phases), found.times_s) == (3, None)
    assert any("order of files" in w for w in found.warnings)


def test_series_are_ordered_by_time_and_not_by_number(tmp_path: Path) -> None:
    write_dicom_study(tmp_path, STUDY)
    found = find_dynamic(tmp_path)
    study = new_study(read_dynamic(found), found)
    assert np.array_equal(study.phases, STUDY.phases)
    assert study.times_s == (0, 100, 200)
    assert study.meta == {"vendor": "Phantom", "field_strength_t": 1.5}


def test_phases_after_midnight_come_last(tmp_path: Path) -> None:
    for phase in range(3):
        seconds = (86_400 - 150 + 100 * phase) % 86_400
        write_dicom_phase(
            tmp_path / str(phase),
            STUDY,
            phase,
            series_uid=synthetic_uid(phase),
            study_uid=synthetic_uid("s"),
            elements={"AcquisitionTime": dicom_time(seconds)},
        )
    assert find_dynamic(tmp_path).times_s == (0, 100, 200)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "SUBTRACTION"]}, "subtraction"),
        ({"EchoTime": 90.0}, "echo time"),
        ({"DiffusionBValue": 800.0}, "diffusion"),
        ({"MRAcquisitionType": "2D"}, "2-D"),
    ],
)
def test_other_series_of_the_examination_are_left_out(tmp_path: Path, elements: dict, reason: str) -> None:
    write_dicom_study(tmp_path, STUDY)
    for number in range(4):
        write_dicom_phase(
            tmp_path / f"other{number}",
            STUDY,
            0,
            series_uid=synthetic_uid("other", number),
            study_uid=synthetic_uid(STUDY.study_id),
            elements=elements,
        )
    assert len(find_dynamic(tmp_path).phases) == 3
    with pytest.raises(DataError, match=reason):
        find_dynamic(tmp_path / "other0")


def test_the_largest_family_of_equal_geometry_wins(tmp_path: Path) -> None:
    write_dicom_study(tmp_path, STUDY)
    other = make_phantom(0, config=PhantomConfig(size=(30, 20, 14), times_s=(0, 1))).study
    write_dicom_study(tmp_path / "other", other)
    assert len(find_dynamic(tmp_path).phases[0].slices) == 11


def test_of_several_phases_before_the_contrast_agent_the_last_is_used(tmp_path: Path) -> None:
    write_single_series(
        tmp_path, AcquisitionNumber=lambda k: k, ContrastBolusStartTime=lambda k: dicom_time(32_550)
    )
    found = find_dynamic(tmp_path)
    assert (len(found.phases), found.times_s) == (2, (0, 100))
    assert "2 phases before the contrast agent" in found.warnings[0]


def test_a_study_without_phase_before_the_contrast_agent_is_suspicious(tmp_path: Path) -> None:
    write_single_series(
        tmp_path, AcquisitionNumber=lambda k: k, ContrastBolusStartTime=lambda k: dicom_time(30_000)
    )
    assert "phase order suspicious" in find_dynamic(tmp_path).warnings[0]


def test_missing_files_are_refused(tmp_path: Path) -> None:
    write_single_series(tmp_path, AcquisitionNumber=lambda k: k)
    next(iter(tmp_path.iterdir())).unlink()
    with pytest.raises(DataError, match="2 to 3 images per slice position"):
        find_dynamic(tmp_path)


def test_missing_slices_of_all_phases_are_refused(tmp_path: Path) -> None:
    study = make_phantom(0, config=PhantomConfig(size=(24, 20, 14), times_s=(0, 100))).study
    for phase in range(2):
        files = write_dicom_phase(
            tmp_path / str(phase), study, phase, series_uid=synthetic_uid(phase), study_uid=synthetic_uid("s")
        )
        files[5].unlink()
    with pytest.raises(DataError, match="slices are missing"):
        read_dynamic(find_dynamic(tmp_path))


def test_two_slices_are_no_dynamic_series(tmp_path: Path) -> None:
    study = make_phantom(0, config=PhantomConfig(size=(24, 20, 2), times_s=(0, 100))).study
    write_dicom_study(tmp_path, study)
    with pytest.raises(DataError, match="fewer than 10 slices"):
        find_dynamic(tmp_path)


def test_another_modality_is_named(tmp_path: Path) -> None:
    write_dicom_phase(
        tmp_path, STUDY, 0, series_uid=synthetic_uid(1), study_uid=synthetic_uid(2), elements={"Modality": "CT"}
    )
    with pytest.raises(DataError, match="found the modality CT"):
        find_dynamic(tmp_path)


def test_rescale_slopes_that_differ_per_series_are_applied(tmp_path: Path) -> None:
    for phase in range(3):
        write_dicom_phase(
            tmp_path / str(phase),
            STUDY,
            phase,
            series_uid=synthetic_uid(phase),
            study_uid=synthetic_uid("s"),
            elements={"RescaleSlope": phase + 1.5, "RescaleIntercept": -3},
        )
    phases = new_study(read_dynamic(find_dynamic(tmp_path))).phases
    for phase in range(3):
        assert np.allclose(phases[phase], STUDY.phases[phase] * (phase + 1.5) - 3)


@pytest.mark.parametrize("flipped", [False, True])
def test_world_coordinates_are_those_of_simpleitk(tmp_path: Path, flipped: bool) -> None:
    sitk = pytest.importorskip("SimpleITK")
    files = write_dicom_phase(
        tmp_path, STUDY, 0, series_uid=synthetic_uid(1), study_uid=synthetic_uid(2), flipped=flipped
    )
    image = sitk.ReadImage([str(files[z]) for z in sorted(files)])
    volume = read_dynamic(find_dynamic(tmp_path))[0]
    index = (3, 5, 7)
    lps = np.array(image.TransformIndexToPhysicalPoint(index))
    ras = volume.source.affine @ (*index, 1)
    assert np.abs(ras[:3] - lps * (-1, -1, 1)).max() < 1e-5
