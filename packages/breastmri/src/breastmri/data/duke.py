"""Duke-Breast-Cancer-MRI (TCIA): DICOM, three Excel tables, every patient has cancer in one breast or both.

Read from the authors' tables (specification 4.1). Traps: `T1` is no dynamic phase; folders are named in two ways;
slice numbers in boxes are those of the original file names, whose order may run against the order in space; a breast
is negative only if the table says that the other one alone is affected.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from .._shared.errors import DataError
from .._shared.io.tables import read_table
from .manifest import Manifest, Row, unique_rows
from .sheets import read_cells, read_sheet
from .study import SIDES, Side

_NAME = re.compile(r"(Breast_MRI_\d+)/(pre|post_\d+)/.*?(\d+)\.dcm$", re.IGNORECASE)
_LOCATION, _BILATERAL = 36, 38  # columns of the clinical table, from 0; used where their names are not found
_META = {"ER": "er", "PR": "pr", "HER2": "her2", "Mol Subtype": "subtype", "Nottingham grade": "grade"}
BoxBase = Literal[1, 0]


@dataclass
class _Patient:
    """What the mapping table says: sequence -> slice number -> paths as written (classic, descriptive)."""

    sequences: dict[str, dict[int, tuple[str, ...]]] = field(default_factory=lambda: defaultdict(dict))


def is_duke(root: Path) -> bool:
    """Whether a folder holds Duke's table of boxes."""
    return _find(root, "Annotation_Boxes") is not None


def open_duke(root: Path, *, box_base: BoxBase = 1) -> Manifest:
    """Read the tables; no image is opened.

    Args:
        root: the folder with the tables (or with `metadata/`) and `Duke-Breast-Cancer-MRI/`.
        box_base: the authors do not say how rows and columns are counted. 1: from 1, the last included; 0: from 0,
            the last included. The difference is one voxel.

    Raises:
        DataError: a table is missing or has other columns, or no patient's images are there.
    """
    patients = _mapping(root)
    sides, meta = _clinical(root)
    boxes = _boxes(root)
    rows: list[Row] = []
    missing = dropped = 0
    for patient, entry in sorted(patients.items()):
        phases = _phases(root, entry)
        if phases is None:
            missing += 1
        elif patient not in sides:
            dropped += 1
        else:
            extra = dict(meta[patient])
            box = boxes.get(patient)
            if box:
                extra |= _slice_files(root, entry, box)
            rows += _rows(patient, phases, sides[patient], _half_open(box, box_base) if box else None, extra)
    warnings = []
    if missing:
        warnings.append(f"{missing} patients of the table have no images here")
    if dropped:
        warnings.append(f"{dropped} patients left out: side unknown, or bilateral disease not stated (NC)")
    return Manifest(root, "duke", unique_rows(rows, "duke"), tuple(warnings))


def _rows(
    patient: str,
    phases: list[str],
    affected: tuple[Side, ...],
    box: tuple[float, ...] | None,
    meta: dict[str, Any],
) -> list[Row]:
    rows = []
    for side in SIDES:
        bad = side in affected
        lesion = {"box_ijk": box} if bad and box and (len(affected) == 1 or side == meta.get("main_side")) else {}
        rows.append(
            Row(
                study_id=patient,
                patient_id=patient,
                site="duke",
                side=side,
                phases=tuple(phases),
                label=int(bad),
                label3=2 if bad else 0,
                meta=meta,
                **lesion,
            )
        )
    return rows


def _find(root: Path, stem: str) -> Path | None:
    for folder in (root, root / "metadata"):
        for path in sorted(folder.glob(f"*{stem}*")):
            if path.suffix.lower() in (".xlsx", ".csv") and not path.name.startswith((".", "~")):
                return path
    return None


def _table(root: Path, stem: str) -> Path:
    path = _find(root, stem)
    if path is None:
        raise DataError(
            f"duke: no table *{stem}*.xlsx in {root.name} or {root.name}/metadata; download it from TCIA"
        )
    return path


def _mapping(root: Path) -> dict[str, _Patient]:
    path = _table(root, "filepath_filename-mapping")
    needed = ("original_path_and_filename", "classic_path", "descriptive_path")
    records = read_table(path, required=needed) if path.suffix == ".csv" else read_sheet(path, required=needed)
    patients: dict[str, _Patient] = defaultdict(_Patient)
    for record in records:
        match = _NAME.search(record["original_path_and_filename"])
        if match:  # others are T1 and segmentations
            patient, sequence, number = match[1], match[2].lower(), int(match[3])
            paths = (record["classic_path"], record["descriptive_path"])
            patients[patient].sequences[sequence][number] = paths
    return patients


def _phases(root: Path, entry: _Patient) -> list[str] | None:
    """Folders of pre, post_1, ...; `FOLDER#k` where one series holds several of them."""
    names = sorted(
        entry.sequences, key=lambda name: (name != "pre", int("0" + name.rpartition("_")[2].strip("pre")))
    )
    if not names or names[0] != "pre":
        return None
    folders = []
    for name in names:
        number = min(entry.sequences[name])
        file = _existing(root, entry.sequences[name][number])
        if file is None:
            return None
        folders.append(file.parent.relative_to(root).as_posix())
    shared = len(set(folders)) < len(folders)
    return [f"{folder}#{k}" for k, folder in enumerate(folders)] if shared else folders


def _existing(root: Path, written: tuple[str, ...]) -> Path | None:
    """The file of a table's path, whose folders and numbers are spelt in several ways."""
    for text in written:
        parts = [part for part in PurePosixPath(text.replace("\\", "/").replace("//", "/")).parts if part != "/"]
        if len(parts) < 2:
            continue
        *above, series, name = parts
        number = re.sub(r"\D", "", Path(name).stem.rpartition("-")[2])
        names = [name, *(f"1-{int(number):0{width}d}.dcm" for width in (1, 2, 3) if number)]
        for base in (root, root / "Duke-Breast-Cancer-MRI", root.parent):
            for folder in (series, f"MR_{series}"):
                for candidate in names:
                    path = base.joinpath(*above, folder, candidate)
                    if path.is_file() and path.resolve().is_relative_to(root.resolve()):
                        return path
    return None


def _clinical(root: Path) -> tuple[dict[str, tuple[Side, ...]], dict[str, dict[str, Any]]]:
    path = _table(root, "Clinical_and_Other_Features")
    cells = read_cells(path, sheet="Data")
    header = cells[1] if len(cells) > 1 else []
    if "Patient ID" not in header:
        raise DataError(
            f"{path.name}: no column 'Patient ID' in row 2; expected the TCIA table with three header rows"
        )
    sides: dict[str, tuple[Side, ...]] = {}
    meta: dict[str, dict[str, Any]] = {}
    location, bilateral = _column(header, "tumor location", _LOCATION), _column(header, "bilateral", _BILATERAL)
    for row in cells[2:]:
        patient = row[header.index("Patient ID")]
        if not patient.startswith("Breast_MRI"):
            continue
        side: Side | None = {"L": "left", "R": "right"}.get(_cell(row, location).upper())  # type: ignore[assignment]
        both = _cell(row, bilateral).upper()
        meta[patient] = {new: _cell(row, header.index(old)) for old, new in _META.items() if old in header}
        if side is not None and both in ("0", "1"):
            sides[patient] = SIDES if both == "1" else (side,)
            meta[patient]["main_side"] = side
    return sides, meta


def _column(header: list[str], words: str, place: int) -> int:
    return next((at for at, name in enumerate(header) if words in name.lower()), place)


def _cell(row: list[str], at: int) -> str:
    return row[at] if at < len(row) else ""


def _boxes(root: Path) -> dict[str, dict[str, int]]:
    path = _table(root, "Annotation_Boxes")
    names = ("Start Row", "End Row", "Start Column", "End Column", "Start Slice", "End Slice")
    boxes = {}
    for record in read_sheet(path, required=("Patient ID", *names)):
        try:
            boxes[record["Patient ID"]] = {name: int(float(record[name])) for name in names}
        except ValueError as err:
            raise DataError(f"{path.name}: a box holds no whole numbers; restore the table") from err
    return boxes


def _half_open(box: dict[str, int], base: BoxBase) -> tuple[float, ...]:
    """(column, row, slice) first, then one past the last, from 0. Slices are numbered from 1 in any case."""
    first = (box["Start Column"] - base, box["Start Row"] - base, box["Start Slice"] - 1)
    last = (box["End Column"] - base + 1, box["End Row"] - base + 1, box["End Slice"])
    return (*map(float, first), *map(float, last))


def _slice_files(root: Path, entry: _Patient, box: dict[str, int]) -> dict[str, Any]:
    """The files of the box's first and last slice: numbers in names say nothing about the order in space."""
    files = []
    for name in ("Start Slice", "End Slice"):
        written = entry.sequences["pre"].get(box[name])
        file = _existing(root, written) if written else None
        if file is None:
            return {"warnings": ["slices of the box are not in the table of files; file order was taken for it"]}
        files.append(file.relative_to(root).as_posix())
    return {"box_slice_files": files}
