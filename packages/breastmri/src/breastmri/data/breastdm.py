"""BreastDM: benign and malignant lesions as 2-D slices with masks; no geometry, so nothing is measured in mm.

Read from public users of the set (specification 4.7). The class is part of a patient's name (`BreaDM-Ma-1802`,
`BreaDM-Be-1801`). Trap: the released archive repeats training patients in its test folders; they are kept in
training only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .._shared.errors import DataError
from .manifest import Manifest, Row, unique_rows

_PATIENT = re.compile(r"^BreaDM-(Ma|Be)-\d+$", re.IGNORECASE)
_POST = re.compile(r"^VIBRANT\+C(\d+)$", re.IGNORECASE)
_SPLITS = ("train", "val", "test")


def is_breastdm(root: Path) -> bool:
    """Whether a folder holds `seg/train/images` with patients of the set, or is that `seg` folder."""
    return any(_patients(root, split) for split in _SPLITS)


def open_breastdm(root: Path) -> Manifest:
    """Read the names of the segmentation form: `seg/{train,val,test}/{images,labels}/<patient>/<phase>/`.

    Raises:
        DataError: no patient is there, or one has no pre- or post-contrast slices.
    """
    rows: dict[str, Row] = {}
    repeated = 0
    for split in _SPLITS:
        for folder in _patients(root, split):
            if folder.name in rows:
                repeated += 1
                continue
            rows[folder.name] = _row(root, folder, split)
    warnings = (
        (f"{repeated} patients of training are repeated in other splits and were left there",) if repeated else ()
    )
    return Manifest(root, "breastdm", unique_rows(rows.values(), "breastdm"), warnings)


def _row(root: Path, folder: Path, split: Any) -> Row:
    phases = {p.name.upper(): p for p in folder.iterdir() if p.is_dir()}
    posts = sorted((int(m[1]), path) for name, path in phases.items() if (m := _POST.match(name)))
    if "VIBRANT" not in phases or not posts:
        raise DataError("breastdm: a patient has no VIBRANT or no VIBRANT+C1 folder; unpack the archive again")
    labels = folder.parent.parent / "labels" / folder.name
    mask = next((labels / name for name in ("VIBRANT+C1", "VIBRANT") if (labels / name).is_dir()), None)
    match = _PATIENT.match(folder.name)
    malignant: Any = int(match is not None and match[1].lower() == "ma")
    return Row(
        study_id=folder.name,
        patient_id=folder.name,
        site="breastdm",
        side="bilateral",
        phases=tuple(p.relative_to(root).as_posix() for p in (phases["VIBRANT"], *(path for _, path in posts))),
        label=malignant,
        label3=malignant + 1,
        mask_path=mask.relative_to(root).as_posix() if mask else None,
        split=split,
        meta={"whole_image": True, "no_geometry": True},
    )


def _patients(root: Path, split: str) -> list[Path]:
    for base in (root / "seg", root):
        folder = base / split / "images"
        if folder.is_dir():
            return [p for p in sorted(folder.iterdir()) if p.is_dir() and _PATIENT.match(p.name)]
    return []
