"""BreastDCEDL (Zenodo, "MinCrop" release): I-SPY1, I-SPY2 and Duke as NIfTI, cancers only.

Read from the table and the files of the release (specification 4.4). Traps: the affine in the files is the identity,
sizes come from the table; `test` is 0 train, 1 test, 2 validation; phase indices may be missing; file names are
misspelt in several ways; MinCrop keeps two slices around the tumour, while the table counts slices of the original;
nothing is said about the other breast, which is taken for healthy with a warning.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.errors import DataError
from .._shared.io.tables import read_table
from .._shared.io.volumes import read_labels
from .manifest import Manifest, Row, unique_rows
from .reading import affine_of_stack, in_file_axes
from .study import OTHER, Side

_FILE = re.compile(r"^(?!\._)(?P<pid>.+?)_(?:spy\d?|duke)\w*?_a[cq][qc]_?(?P<k>\d+)\.nii\.gz$", re.IGNORECASE)
_MASK = re.compile(r"^(?!\._)(?P<pid>.+?)_(?:spy\d?|duke)\w*_mask\.nii\.gz$", re.IGNORECASE)
_SPLIT = {"0": "train", "1": "test", "2": "val"}  # a public project swaps the last two
_NEEDED = ("pid", "n_xy", "pre", "post_early", "post_late", "slice_thick", "xy_spacing", "test")
_META = ("pCR", "HR", "MP", "HRposHER2neg", "HER2pos", "TripleNeg", "age", "tum_vol")
_MARGIN = 2  # slices that MinCrop keeps on either side of the tumour


def is_breastdcedl(root: Path) -> bool:
    """Whether a folder holds the table of the release."""
    return _table(root) is not None


def open_breastdcedl(root: Path) -> Manifest:
    """Read the table and the names of files; masks are opened to see in which half the tumour lies.

    Raises:
        DataError: the table has other columns, a number in it cannot be read, or no images are there.
    """
    table = _table(root)
    if table is None:
        raise DataError("breastdcedl: no BreastDCEDL_metadata*.csv; download it with the images")
    phases, masks = _files(root)
    rows: list[Row] = []
    missing = 0
    for line, record in enumerate(read_table(table, required=_NEEDED, key="pid"), start=2):
        files = phases.get(record["pid"])
        if not files:
            missing += 1
            continue
        try:
            rows += _patient(root, record, files, masks.get(record["pid"]))
        except ValueError as err:
            raise DataError(f"{table.name}: row {line}: a size or index is not a number") from err
    warnings = (f"{missing} patients of the table have no images here",) if missing else ()
    return Manifest(root, "breastdcedl", unique_rows(rows, "breastdcedl"), warnings)


def chosen_phases(record: dict[str, str], there: list[int]) -> tuple[list[int], list[str]]:
    """The phases pre, post_early and post_late of a row; a missing one becomes the last that is there.

    Example:
        >>> chosen_phases({"pre": "0", "post_early": "2", "post_late": ""}, [0, 1, 2, 3])
        ([0, 2, 3], ['phase index post_late is missing or not there, phase 3 was taken'])
    """
    chosen, warnings = [], []
    for name, fallback in (
        ("pre", there[0]),
        ("post_early", there[min(1, len(there) - 1)]),
        ("post_late", there[-1]),
    ):
        text = record.get(name, "").strip()
        index = int(float(text)) if text else -1
        if index not in there:
            index = fallback
            warnings.append(f"phase index {name} is missing or not there, phase {index} was taken")
        chosen.append(index)
    return list(dict.fromkeys(chosen)), warnings


def _patient(root: Path, record: dict[str, str], files: dict[int, Path], mask: Path | None) -> list[Row]:
    order, warnings = chosen_phases(record, sorted(files))
    meta: dict[str, Any] = {name: record[name] for name in _META if record.get(name)}
    meta |= {"in_plane_mm": float(record["xy_spacing"]), "slice_mm": float(record["slice_thick"])}
    warnings.append("orientation is not stored in this set: axial slices from below, nose up are assumed")
    meta["warnings"] = warnings
    source = record.get("dataset") or _source(record["pid"])
    box = None
    if mask is None and record.get("sraw") and int(float(record["n_xy"])) == 256:
        box = _duke_box(record)
    half = _half_of_mask(mask, meta) if mask else _half_of_box(box, int(float(record["n_xy"])))
    common = {
        "study_id": record["pid"],
        "patient_id": record["pid"],
        "site": source,
        "phases": tuple(files[k].relative_to(root).as_posix() for k in order),
        "split": _SPLIT.get(record["test"].strip().removesuffix(".0"), ""),
        "meta": meta,
    }
    if half is None:
        return [Row(side="bilateral", label=1, label3=2, **common)]
    meta["warnings"] = [*warnings, "the other breast is taken for healthy: the set says nothing about it"]
    lesion: dict[str, Any] = {"mask_path": mask.relative_to(root).as_posix()} if mask else {"box_ijk": box}
    return [Row(side=half, label=1, label3=2, **lesion, **common), Row(side=OTHER[half], label=0, **common)]


def _half_of_mask(mask: Path, meta: dict[str, Any]) -> Side | None:
    array = in_file_axes(read_labels(mask)) > 0
    if not array.any():
        return None
    affine = affine_of_stack(array.shape, meta["in_plane_mm"], meta["slice_mm"])
    columns = int(abs(affine[0, :3]).argmax())
    index = np.argwhere(array)[:, columns]
    return _half(float(index.mean()), array.shape[columns])


def _half_of_box(box: tuple[float, ...] | None, columns: int) -> Side | None:
    return None if box is None else _half((box[2] + box[5] - 1) / 2, columns)


def _half(column: float, count: int) -> Side:
    """Columns grow to the patient's left."""
    return "left" if column > (count - 1) / 2 else "right"


def _duke_box(record: dict[str, str]) -> tuple[float, ...]:
    """Slices, rows, columns: half-open, in the file's axes. The tumour fills all slices but the two at either end."""
    slices = float(record["n_z"])
    rows = (float(record["sraw"]), float(record["eraw"]))
    columns = (float(record["scol"]), float(record["ecol"]))
    return (_MARGIN, rows[0], columns[0], slices - _MARGIN, rows[1], columns[1])


def _source(pid: str) -> str:
    upper = pid.upper()
    return "DUKE" if upper.startswith("BREAST_MRI") else "ISPY1" if upper.startswith("ISPY1") else "ISPY2"


def _table(root: Path) -> Path | None:
    return next((p for p in sorted(root.glob("BreastDCEDL_*.csv"))), None)


def _files(root: Path) -> tuple[dict[str, dict[int, Path]], dict[str, Path]]:
    phases: dict[str, dict[int, Path]] = defaultdict(dict)
    masks: dict[str, Path] = {}
    for path in sorted(root.rglob("*.nii.gz")):
        if match := _FILE.match(path.name):
            phases[match["pid"]][int(match["k"])] = path
        elif match := _MASK.match(path.name):
            masks[match["pid"]] = path
    return phases, masks
