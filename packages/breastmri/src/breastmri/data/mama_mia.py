"""MAMA-MIA (Synapse): 1,506 cancers as NIfTI with expert masks.

Read from the authors' table and notebook (specification 4.2). Traps: the case of names differs between releases;
`acquisition_times` is a list written as text; the coordinates in the JSON files are in the axis order of a SimpleITK
array, so that their x counts slices; every patient has cancer, so only the other breast can be negative.
"""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.errors import DataError
from .._shared.io.tables import read_table
from .._shared.io.volumes import Volume, read_labels
from .manifest import Box, Manifest, Row, unique_rows
from .sheets import read_sheet
from .study import OTHER, SIDES, Side, mask_center_mm

TABLE = "clinical_and_imaging_info.xlsx"
_PHASE = re.compile(r"^(?!\._)(.+)_(\d{4})\.nii\.gz$", re.IGNORECASE)
_META = ("pcr", "tumor_subtype", "age", "menopause", "menopausal_status", "breast_density", "manufacturer")
_MORE = (
    "scanner_model",
    "field_strength",
    "fat_suppressed",
    "view",
    "bilateral_mri",
    "echo_time",
    "repetition_time",
)


def is_mama_mia(root: Path) -> bool:
    """Whether a folder holds the table of MAMA-MIA."""
    return (root / TABLE).is_file() and (root / "images").is_dir()


def open_mama_mia(root: Path) -> Manifest:
    """Read table, splits and masks; the side of the cancer is that of its mask.

    Raises:
        DataError: the table is missing or has other columns, or no images are there.
    """
    records = read_sheet(root / TABLE, sheet="dataset_info", required=("patient_id", "dataset"))
    images, splits = _phase_files(root / "images"), _splits(root)
    rows: list[Row] = []
    missing = 0
    for record in records:
        key = record["patient_id"].lower()
        if key in images:
            rows += _patient_rows(root, record, images[key], splits.get(key, ""))
        else:
            missing += 1
    warnings = (f"{missing} patients of the table have no images here",) if missing else ()
    return Manifest(root, "mama-mia", unique_rows(rows, "mama-mia"), warnings)


def box_of_json(coordinates: dict[str, float]) -> Box:
    """`breast_coordinates` of a patient's JSON -> box in nibabel's axes (i column, j row, k slice).

    Its x counts slices, its y rows and its z columns, because they index a SimpleITK array.

    Example:
        >>> box_of_json({"x_min": 1, "x_max": 2, "y_min": 3, "y_max": 4, "z_min": 5, "z_max": 6})
        (5.0, 3.0, 1.0, 6.0, 4.0, 2.0)
    """
    first, last = ([float(coordinates[f"{axis}_{end}"]) for axis in "zyx"] for end in ("min", "max"))
    return (first[0], first[1], first[2], last[0], last[1], last[2])


def parse_times(text: str, phases: int) -> tuple[tuple[float, ...] | None, list[str]]:
    """Seconds from the first phase out of text such as "[0, 165, 288]", and what is wrong with it.

    Example:
        >>> parse_times("[0, 165]", 2)
        ((0.0, 165.0), [])
    """
    try:
        values = ast.literal_eval(text) if text else []
        times = tuple(float(v) for v in values)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None, ["acquisition times cannot be read"]
    if len(times) != phases:
        return None, [f"{len(times)} acquisition times for {phases} phases, times are unknown"] if text else []
    if any(b <= a for a, b in pairwise(times)):
        return None, ["acquisition times do not grow, times are unknown"]
    return times, []


def _patient_rows(root: Path, record: dict[str, str], files: dict[int, Path], split: Any) -> list[Row]:
    patient = record["patient_id"]
    phases = tuple(files[k].relative_to(root).as_posix() for k in sorted(files))
    times, warnings = parse_times(record.get("acquisition_times", ""), len(phases))
    meta: dict[str, Any] = {name: record[name] for name in (*_META, *_MORE) if record.get(name)}
    coordinates = _json_coordinates(root, patient)
    if coordinates:
        meta["breast_box_ijk"] = box_of_json(coordinates)
    mask = _mask(root, patient)
    side = None
    if mask is None:
        warnings.append("no expert mask, the side of the cancer is unknown")
    else:
        side = _side(read_labels(mask), record, warnings)
    common = {
        "study_id": patient,
        "patient_id": patient,
        "site": record.get("site") or record["dataset"],
        "phases": phases,
        "times_s": times,
        "split": split,
        "meta": meta | ({"warnings": warnings} if warnings else {}),
    }
    if side is None:
        return [Row(side="bilateral", label=1, label3=2, **common)]
    path = mask.relative_to(root).as_posix() if mask else None
    rows = [Row(side=side, label=1, label3=2, mask_path=path, **common)]
    if record.get("bilateral_mri", "1") not in ("0", "False"):
        other = {"0": 0, "1": 1}.get(record.get("bilateral_breast_cancer", ""))
        rows.append(Row(side=OTHER[side], label=other, **common))
    return sorted(rows, key=lambda row: SIDES.index(row.side))


def _side(mask: Volume, record: dict[str, str], warnings: list[str]) -> Side | None:
    if not mask.array.any():
        warnings.append("empty expert mask, the side of the cancer is unknown")
        return None
    center = mask_center_mm(mask.array > 0, mask.affine)
    if record.get("bilateral_mri", "1") in ("0", "False"):
        warnings.append("one breast imaged, its side is taken from the scanner's left and right")
        return "left" if center[0] < 0 else "right"
    x = np.argwhere(mask.array > 0)[:, 0].mean()
    return "left" if x < (mask.array.shape[0] - 1) / 2 else "right"


def _phase_files(folder: Path) -> dict[str, dict[int, Path]]:
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in sorted(folder.glob("*/*")):
        match = _PHASE.match(path.name)
        if match:
            found[path.parent.name.lower()][int(match[2])] = path
    return found


def _splits(root: Path) -> dict[str, str]:
    path = root / "train_test_splits.csv"
    if not path.is_file():
        return {}
    splits = {}
    for record in read_table(path, required=("train_split", "test_split")):
        for column, split in (("train_split", "train"), ("test_split", "test")):
            if record[column].strip():  # the columns are of different lengths
                splits[record[column].strip().lower()] = split
    return splits


def _mask(root: Path, patient: str) -> Path | None:
    folder = root / "segmentations" / "expert"
    wanted = f"{patient}.nii.gz".lower()
    return next((p for p in sorted(folder.glob("*.nii.gz")) if p.name.lower() == wanted), None)


def _json_coordinates(root: Path, patient: str) -> dict[str, float] | None:
    path = root / "patient_info_files" / f"{patient.lower()}.json"
    if not path.is_file():
        return None
    try:
        coordinates = json.loads(path.read_text(encoding="utf-8"))["primary_lesion"]["breast_coordinates"]
        box_of_json(coordinates)
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as err:
        raise DataError("patient_info_files: a JSON file holds no breast_coordinates; restore it") from err
    return dict(coordinates)
