"""Layouts made of DICOM files: Duke and fastMRI breast, and single studies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.io.dicom_write import synthetic_uid, write_dicom
from ..data.sheets import write_sheet
from ..data.study import Study
from ..phantom import Phantom, PhantomConfig
from .cohort import cohort, kind_of, renamed, split_of, write_truth

_START_S = 9 * 3600.0
DUKE_TIMES_S = (0.0, 120.0, 240.0, 360.0)
FASTMRI_TIMES_S = (0.0, 150.0, 300.0, 450.0)


def dicom_time(seconds: float) -> str:
    """HHMMSS.FFFFFF of seconds since midnight.

    Example:
        >>> dicom_time(9 * 3600 + 61.5)
        '090101.500000'
    """
    whole = int(seconds)
    return f"{whole // 3600 % 24:02d}{whole // 60 % 60:02d}{whole % 60:02d}.{round((seconds - whole) * 1e6):06d}"


def write_dicom_phase(
    folder: Path,
    study: Study,
    phase: int,
    *,
    series_uid: str,
    study_uid: str,
    flipped: bool = False,
    names: Mapping[int, str] | None = None,
    numbers: Mapping[int, int] | None = None,
    elements: Mapping[str, Any] | None = None,
) -> dict[int, Path]:
    """Write one phase as axial slices; z -> file.

    Args:
        folder: of the series.
        study: phases that fit 16 bits.
        phase: which of them.
        series_uid: of the series.
        study_uid: of the study.
        flipped: rows from the back and columns from the left, as some Duke patients are stored.
        names: file name of each slice z; by default 1-01.dcm and on.
        numbers: instance number of each slice z.
        elements: further elements by keyword.
    """
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ study.affine
    sign = 1 if flipped else -1
    corner = (0, 0) if flipped else (study.shape[0] - 1, study.shape[1] - 1)
    spacing = study.spacing_mm
    orientation = [*(sign * lps[:3, 0] / spacing[0]), *(sign * lps[:3, 1] / spacing[1])]
    files = {}
    for z in range(study.shape[2]):
        plane = study.phases[phase, :, :, z] if flipped else study.phases[phase, ::-1, ::-1, z]
        path = folder / (names[z] if names else f"1-{z + 1:02d}.dcm")
        write_dicom(
            path,
            np.ascontiguousarray(plane.T.astype(np.uint16)),
            modality="MR",
            series_uid=series_uid,
            study_uid=study_uid,
            instance_number=numbers[z] if numbers else z + 1,
            position_mm=(lps @ (*corner, z, 1))[:3],
            orientation=orientation,
            spacing_mm=(spacing[1], spacing[0]),
            elements=_elements(study, phase) | dict(elements or {}),
        )
        files[z] = path
    return files


def _elements(study: Study, phase: int) -> dict[str, Any]:
    time = dicom_time(_START_S + (study.times_s or (0.0,) * 99)[phase])
    return {
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "AcquisitionTime": time,
        "ContentTime": time,
        "MRAcquisitionType": "3D",
        "EchoTime": 2.4,
        "SliceThickness": study.spacing_mm[2],
        "Manufacturer": "Phantom",
        "MagneticFieldStrength": 1.5,
    }


def write_dicom_study(folder: Path, study: Study, **options: Any) -> None:
    """A study as one series per phase, whose folders and numbers are in disorder."""
    order = np.random.default_rng(7).permutation(len(study.phases))
    for phase, place in enumerate(order):
        uid = synthetic_uid(study.study_id, "series", phase)
        elements = {"SeriesNumber": phase + 3, "SeriesDescription": f"ax dyn {phase}"}
        write_dicom_phase(
            folder / f"series_{place}",
            study,
            phase,
            series_uid=uid,
            study_uid=synthetic_uid(study.study_id),
            **({"elements": elements} | options),
        )


def write_fastmri(root: Path, cases: int, seed: int) -> None:
    """One folder per case with one 4-D series; the status code is not ordinal and sides count from the right."""
    header = [
        "Patient Coded Name",
        "Repeated scans",
        "Data split (0=training, 1=testing)",
        "Age",
        "Menopause",
        "Reason",
        "Lesion status (0 = negative, 1 = malignancy, 2 = benign)",
        "Malignant type",
        "Laterality (1=right, 2=left)",
    ]
    rows: list[list[Any]] = [header]
    phantoms = []
    config = PhantomConfig(times_s=FASTMRI_TIMES_S)
    for index, phantom in enumerate(cohort(cases, seed, config)):
        patient = f"fastMRI_breast_{index + 1:03d}"
        phantom = renamed(phantom, f"{patient}_1", patient, "nyu")
        phantoms.append(phantom)
        study = phantom.study
        for phase in range(4):
            start = phase * study.shape[2]
            write_dicom_phase(
                root / f"{patient}_1",
                study,
                phase,
                series_uid=synthetic_uid(patient, seed),
                study_uid=synthetic_uid(patient, "study"),
                names={z: f"IM{start + z:04d}.dcm" for z in range(study.shape[2])},
                numbers={z: start + z + 1 for z in range(study.shape[2])},
                elements={"TemporalPositionIdentifier": phase + 1, "SeriesDescription": "GRASP"},
            )
        status = {"none": 0, "malignant": 1, "benign": 2}[kind_of(index)]
        side = {"right": 1, "left": 2, None: None}[study.lesion_side]
        rows.append([patient, 0, int(split_of(index) == "test"), 50, 1, "screening", status, None, side])
    rows += [[None] * len(header)] * 3
    write_sheet(root / "breast_fastMRI_final.xlsx", rows)
    write_truth(root, phantoms)


def write_duke(root: Path, cases: int, seed: int) -> None:
    """Classic folders and the three tables; cancers only.

    Patient 2 has flipped rows and columns, patient 3 all phases in one series, patient 4 folders with `MR_`; instance
    numbers are shuffled, file numbers of every second patient run downwards, and of six or more patients the last
    one's bilateral disease is not stated.
    """
    phantoms, boxes, mapping, clinical = [], [], [], []
    config = PhantomConfig(times_s=DUKE_TIMES_S, tilt_deg=0)
    for index, phantom in enumerate(cohort(cases, seed, config, kinds=["malignant"])):
        patient = f"Breast_MRI_{index + 1:03d}"
        phantom = renamed(phantom, patient, patient, "duke")
        phantoms.append(phantom)
        mapping += _write_duke_case(root, phantom, index)
        boxes.append([patient, *_duke_box(phantom, index)])
        stated = "NC" if index == cases - 1 and cases >= 6 else 0
        clinical.append(_clinical_row(patient, phantom.study.lesion_side or "", stated))
    names = ["original_path_and_filename", "classic_path", "descriptive_path", "sop_instance_UID"]
    write_sheet(root / "Breast-Cancer-MRI-filepath_filename-mapping.xlsx", [names, *mapping])
    header = ["Patient ID", "Start Row", "End Row", "Start Column", "End Column", "Start Slice", "End Slice"]
    write_sheet(root / "Annotation_Boxes.xlsx", [header, *boxes])
    groups, columns, legend = _clinical_header()
    write_sheet(root / "Clinical_and_Other_Features.xlsx", [groups, columns, legend, *clinical], sheet="Data")
    write_truth(root, phantoms)


def _write_duke_case(root: Path, phantom: Phantom, index: int) -> list[list[Any]]:
    study, patient = phantom.study, phantom.study.patient_id
    study_uid, single = synthetic_uid(patient), index == 2
    base = Path("Duke-Breast-Cancer-MRI") / patient / study_uid
    depth, rows = study.shape[2], []
    shuffled = np.random.default_rng(index).permutation(depth * len(study.phases)) + 1
    for phase in range(len(study.phases)):
        sequence = "pre" if phase == 0 else f"post_{phase}"
        series = synthetic_uid(patient, "dynamic" if single else sequence)
        start = phase * depth if single else 0
        number = {z: _file_number(z, depth, index) for z in range(depth)}
        names = {z: f"1-{start + number[z]:02d}.dcm" for z in range(depth)}
        write_dicom_phase(
            root / base / (f"MR_{series}" if index == 3 else series),
            study,
            phase,
            series_uid=series,
            study_uid=study_uid,
            flipped=index == 1,
            names=names,
            numbers={z: int(shuffled[phase * depth + z]) for z in range(depth)},
            elements={
                "SeriesNumber": 3 if single else 3 + phase,
                "SeriesDescription": f"ax dyn {sequence}",
                "AcquisitionNumber": phase + 1,
            },
        )
        for z in range(depth):
            original = f"DICOM_Images/{patient}/{sequence}/{patient}_{sequence}_{number[z]:02d}.dcm"
            classic = (base / series / names[z]).as_posix()
            described = f"Duke-Breast-Cancer-MRI/{patient}//01-01-1990/{3 + phase}.000000-dyn/{names[z]}"
            rows.append([original, classic, described, synthetic_uid(series, z)])
    return rows


def _file_number(z: int, depth: int, index: int) -> int:
    return depth - z if index % 2 else z + 1


def _duke_box(phantom: Phantom, index: int) -> list[int]:
    """Rows, columns and slices, counted from 1, the last included."""
    lesion = phantom.tissue["lesion"] if index == 1 else phantom.tissue["lesion"][::-1, ::-1]
    columns, rows, z = (np.nonzero(lesion.any(axes))[0] for axes in ((1, 2), (0, 2), (0, 1)))
    slices = sorted(_file_number(int(v), lesion.shape[2], index) for v in (z[0], z[-1]))
    return [int(v) for v in (rows[0] + 1, rows[-1] + 1, columns[0] + 1, columns[-1] + 1, *slices)]


def _clinical_header() -> tuple[list[str | None], list[str], list[str]]:
    columns = [f"feature {i}" for i in range(40)]
    for at, name in ((0, "Patient ID"), (20, "ER"), (21, "PR"), (22, "HER2"), (23, "Mol Subtype")):
        columns[at] = name
    columns[36], columns[38] = "Tumor Location", "Bilateral Information"
    groups: list[str | None] = ["Patient Info", *[None] * 39]
    return groups, columns, [""] * 36 + ["L, R", "", "0 no, 1 yes, NC", ""]


def _clinical_row(patient: str, side: str, bilateral: object) -> list[Any]:
    row: list[Any] = [patient, *[0] * 39]
    row[36], row[38] = {"left": "L", "right": "R"}.get(side), bilateral
    return row
