"""ODELIA Challenge 2025: breasts labelled normal, benign or malignant, from several hospitals.

Read from the organisers' code (specification 4.3). Forms: folders of NIfTI files with one breast or both per image,
and the hub's parquet files. Traps: identifiers with leading zeros; a breast's UID carries its side, its patient is
another column; several folds list the same UID; hidden labels stay unknown; `Sub_1` is stored with an offset of its
own in every patient, so subtractions are computed from `Pre` and `Post_k`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .._shared.errors import DataError
from .._shared.io.tables import read_table
from .manifest import Manifest, Row, unique_rows
from .parquet import parquet_table
from .study import SIDES, Side

_POST = re.compile(r"^Post_(\d+)$")
_SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


def is_odelia(root: Path) -> bool:
    """Whether a folder holds `<CENTRE>/data_unilateral` or `<CENTRE>/data` with its metadata."""
    return any(_centres(root, form) for form in ("unilateral", "bilateral"))


def is_odelia_hub(root: Path) -> bool:
    """Whether a folder holds parquet files with the hub's columns."""
    files = _parquet_files(root)
    return bool(files) and {"UID", "Institution"} <= set(parquet_table(files[0])[0])


def open_odelia(root: Path) -> Manifest:
    """The folders of NIfTI files; one breast per image where both forms are there.

    Raises:
        DataError: a table is missing, a row has no images, or a label is not 0, 1 or 2.
    """
    rows: list[Row] = []
    form = "unilateral" if _centres(root, "unilateral") else "bilateral"
    for centre in _centres(root, form):
        folder = centre / ("metadata_unilateral" if form == "unilateral" else "metadata")
        splits = _splits(root, centre, folder)
        data = centre / ("data_unilateral" if form == "unilateral" else "data")
        for record in read_table(folder / "annotation.csv", required=("UID", "PatientID"), key="UID"):
            names = [p.name.removesuffix(".nii.gz") for p in sorted((data / record["UID"]).glob("[!.]*.nii.gz"))]
            base = (data / record["UID"]).relative_to(root).as_posix()
            phases = tuple(f"{base}/{name}.nii.gz" for name in phase_names(names))
            rows += _rows(record, phases, centre.name, *splits.get(record["UID"], ("", None)))
    return Manifest(root, "odelia", unique_rows(rows, "odelia"))


def open_odelia_hub(root: Path) -> Manifest:
    """The hub's parquet files, as `huggingface_hub` or `git` leaves them on disk.

    Raises:
        DataError: not those files, or a label is not 0, 1 or 2.
    """
    rows: list[Row] = []
    seen: set[str] = set()
    for path in _parquet_files(root):
        name = path.relative_to(root).as_posix()
        for number, record in enumerate(parquet_table(path)):
            if record["UID"] in seen:
                continue
            seen.add(record["UID"])
            phases = tuple(f"{name}#{number}/{phase}" for phase in phase_names(record.get("images", [])))
            split = _SPLITS.get(str(record.get("Split") or "").lower(), "")
            text = {key: "" if value is None else str(value) for key, value in record.items()}
            rows += _rows(text, phases, text["Institution"], split, record.get("Fold"))
    return Manifest(root, "odelia-hub", unique_rows(rows, "odelia-hub"))


def phase_names(names: Iterable[str]) -> list[str]:
    """`Pre` and the post-contrast phases in the order of their numbers.

    Example:
        >>> phase_names(["Post_10", "Sub_1", "Pre", "T2", "Post_2"])
        ['Pre', 'Post_2', 'Post_10']
    """
    names = set(names)
    posts = sorted(int(m[1]) for m in map(_POST.match, names) if m)
    if "Pre" not in names or not posts:
        raise DataError("odelia: a study has no Pre or no Post_1; download it again")
    return ["Pre", *(f"Post_{k}" for k in posts)]


def _rows(record: dict[str, str], phases: tuple[str, ...], centre: str, split: Any, fold: Any) -> list[Row]:
    side = next((s for s in SIDES if record["UID"].lower().endswith(f"_{s}")), None)
    meta: dict[str, Any] = {"age": record["Age"]} if record.get("Age") else {}
    common = {"patient_id": record["PatientID"], "site": centre, "phases": phases, "split": split, "fold": fold}
    if side is not None:
        return [_row(record["UID"], side, record.get("Lesion", ""), common, meta)]
    lesions = {s: record.get(f"Lesion_{s.capitalize()}", "") for s in SIDES}
    return [_row(record["UID"], s, text, common, meta) for s, text in lesions.items()]


def _row(uid: str, side: Side, lesion: str, common: dict[str, Any], meta: dict[str, Any]) -> Row:
    lesion = lesion.strip().removesuffix(".0")
    if lesion not in ("", "0", "1", "2"):
        raise DataError(f"odelia: Lesion is {lesion!r}; expected 0 (none), 1 (benign), 2 (malignant) or nothing")
    grade: Any = int(lesion) if lesion else None
    label: Any = None if grade is None else int(grade == 2)
    return Row(study_id=uid, side=side, label=label, label3=grade, meta=meta, **common)


def _centres(root: Path, form: str) -> list[Path]:
    data, meta = ("data_unilateral", "metadata_unilateral") if form == "unilateral" else ("data", "metadata")
    return [p for p in sorted(root.glob("*")) if (p / data).is_dir() and (p / meta / "annotation.csv").is_file()]


def _splits(root: Path, centre: Path, folder: Path) -> dict[str, tuple[str, int | None]]:
    """UID -> (split, fold); of several folds the first is taken."""
    files = [folder / "split.csv", root / "split_unilateral.csv", root / "split.csv"]
    path = next((p for p in files if p.is_file()), None)
    if path is None:
        return {}
    splits: dict[str, tuple[str, int | None]] = {}
    for record in read_table(path, required=("UID", "Split")):
        if record.get("Institution", centre.name) != centre.name:
            continue
        fold = int(record["Fold"]) if record.get("Fold", "").strip().isdigit() else None
        old = splits.get(record["UID"])
        if old is None or (fold is not None and old[1] is not None and fold < old[1]):
            splits[record["UID"]] = (_SPLITS.get(record["Split"].strip().lower(), ""), fold)
    return splits


def _parquet_files(root: Path) -> list[Path]:
    """One breast per row where the hub's configuration of whole examinations is there too."""
    files = sorted(p for p in root.rglob("*.parquet") if not p.name.startswith("."))
    return [p for p in files if "unilateral" in p.relative_to(root).as_posix()] or files
