"""fastMRI breast (NYU): DICOM with four time frames per case, labels in an Excel table.

Read from the authors' tools (specification 4.5). Traps: the lesion status is not ordinal (0 negative, 1 malignancy,
2 benign); laterality counts from the right (1 right, 2 left); repeated scans share a patient; the sheet ends in
empty rows. k-space files are not read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from .._shared.errors import DataError
from .manifest import Manifest, Row, unique_rows
from .sheets import read_sheet
from .study import OTHER, SIDES, Side

_CASE = re.compile(r"^(fastMRI_breast_\d+)(?:_(\d+))?$", re.IGNORECASE)
_GRADE = {"0": 0, "1": 2, "2": 1}
_SIDE: dict[str, Side] = {"1": "right", "2": "left"}
FRAMES = 4


def is_fastmri(root: Path) -> bool:
    """Whether a folder holds the table of labels."""
    return _table(root) is not None


def open_fastmri(root: Path) -> Manifest:
    """Read the table and the names of case folders; images are opened later.

    Raises:
        DataError: the table is missing or has other columns or codes, or no case folder is there.
    """
    table = _table(root)
    if table is None:
        raise DataError("fastmri: no breast_fastMRI*.xlsx; download it with the images")
    records = read_sheet(table)
    header = list(records[0]) if records else []
    name, status = _column(header, "patient coded name"), _column(header, "lesion status")
    side, split = _column(header, "laterality"), _column(header, "data split")
    age = next((h for h in header if h.lower().startswith("age")), None)
    labels = {r[name].lower(): r for r in records if r[name]}  # trailing rows are empty
    rows: list[Row] = []
    for folder in _case_folders(root):
        match = _CASE.match(folder.name)
        record = labels.get(match[1].lower()) if match else None
        if match and record:
            meta = {"age": record[age]} if age and record[age] else {}
            part = {"0": "train", "1": "test"}.get(record[split], "")
            where = folder.relative_to(root).as_posix()
            rows += _rows(folder.name, match[1], where, record[status], record[side], part, meta)
    missing = len(labels) - len({row.patient_id.lower() for row in rows})
    warnings = (f"{missing} patients of the table have no images here",) if missing > 0 else ()
    return Manifest(root, "fastmri", unique_rows(rows, "fastmri"), warnings)


def _rows(
    study: str, patient: str, folder: str, status: str, side: str, split: Any, meta: dict[str, Any]
) -> list[Row]:
    if status not in _GRADE:
        raise DataError(
            f"fastmri: lesion status is {status!r}; expected 0 (negative), 1 (malignancy) or 2 (benign)"
        )
    grade: Any = _GRADE[status]
    common = {
        "study_id": study,
        "patient_id": patient,
        "site": "nyu",
        "phases": tuple(f"{folder}#{k}" for k in range(FRAMES)),
        "split": split,
        "meta": meta,
    }
    if grade == 0:
        return [Row(side=s, label=0, label3=0, **common) for s in SIDES]
    if side.lower() == "bilateral":
        return [Row(side=s, label=int(grade == 2), label3=grade, **common) for s in SIDES]
    if side not in _SIDE:
        return [Row(side="bilateral", label=int(grade == 2), label3=grade, **common)]
    here = _SIDE[side]
    rows = [Row(side=here, label=int(grade == 2), label3=grade, **common)]
    return [*rows, Row(side=OTHER[here], label=0, label3=0, **common)]


def _table(root: Path) -> Path | None:
    return next((p for p in sorted(root.glob("*fastMRI*.xlsx")) if not p.name.startswith((".", "~"))), None)


def _column(header: list[str], words: str) -> str:
    found = next((name for name in header if name.lower().startswith(words)), None)
    if found is None:
        raise DataError(f"fastmri: no column that starts with {words!r} in the table of labels")
    return found


def _case_folders(root: Path) -> list[Path]:
    found = []
    for base, folders, _ in os.walk(root):
        folders.sort()
        for name in list(folders):
            if _CASE.match(name):
                found.append(Path(base) / name)
                folders.remove(name)  # what is below belongs to the case
    return found
