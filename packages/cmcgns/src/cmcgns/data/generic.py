"""Any table of image paths and texts: csv, tsv, parquet or JSON lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._shared.errors import DataError
from .pairs import Pair, PairDataset, Split
from .sources import TABLE_SUFFIXES, find_file, image_path, image_root, labels_of, read_rows

_SIDES: Mapping[str, Split] = {
    "train": "train",
    "valid": "validation",
    "val": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
    "": "",
}


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns.

    Attributes:
        image: path of the film, below the table's folder.
        text: texts that make the report, joined in this order.
        patient: who the film is of; where there is none, every film is its own patient.
        split: side of the film (train, validation, test), optional.
        labels: findings: 1, 0, -1 or nothing.
    """

    image: str = "image"
    text: tuple[str, ...] = ("report",)
    patient: str = "patient_id"
    split: str = "split"
    labels: tuple[str, ...] = ()


def load_table(path: Path, columns: Columns | None = None) -> PairDataset:
    """Read a table, or the only table of a folder.

    Columns named in `columns` must be there, except patient and split.

    Raises:
        DataError: no table, a missing column (file and column are named), or an image path that leads elsewhere.
    """
    columns = columns or Columns()
    table = find_file(path, *(f"*{suffix}" for suffix in TABLE_SUFFIXES)) if path.is_dir() else path
    rows = read_rows(table, [columns.image, *columns.text, *columns.labels])
    root = table.parent
    first = str(rows[0][columns.image]) if rows else ""
    base, drop = image_root(root, first)
    pairs, excluded = [], {}
    for count, row in enumerate(rows, start=1):
        texts = {name: _text(row[name]) for name in columns.text}
        image = _text(row[columns.image])
        if not image or (columns.text and not any(texts.values())):
            excluded[f"{table.name} row {count}"] = "no text" if image else f"no {columns.image}"
            continue
        patient = _text(row.get(columns.patient)) or f"row {count}"
        pairs.append(
            Pair(
                image=image_path(base, image, drop),
                report=" ".join(text for text in texts.values() if text),
                sections={name.lower(): text for name, text in texts.items() if text},
                sample_id=image,
                study_id=_text(row.get("study_id")) or image,
                patient_id=patient,
                labels=labels_of(row, columns.labels, table.name),
                split=_side(row, columns, table.name),
            )
        )
    return PairDataset("table", tuple(pairs), tuple(columns.labels), excluded)


def detect_columns(header: Sequence[str]) -> Columns:
    """Guess the columns of a table by their usual names.

    Raises:
        DataError: no column for images or texts; the message lists the columns there are.

    Example:
        >>> detect_columns(["Path", "findings", "impression", "subject_id"])
        Columns(image='Path', text=('impression', 'findings'), patient='subject_id', split='split', labels=())
    """
    by_name = {name.lower(): name for name in header}

    def first(*names: str) -> str | None:
        return next((by_name[name] for name in names if name in by_name), None)

    image = first("image", "image_path", "path", "path_to_image", "file", "filename", "file_name", "img")
    both = tuple(by_name[name] for name in ("impression", "findings") if name in by_name)
    one = first("report", "text", "caption", "report_text", "sentence")
    text = (one,) if one else both
    if image is None or not text:
        what = "images" if image is None else "texts"
        raise DataError(
            f"no column for {what} among {', '.join(header)[:200]}; name it with --image-col or --text-col"
        )
    patient = first("patient_id", "subject_id", "patient", "patientid")
    return Columns(image, text, patient or "patient_id", first("split") or "split")


def _text(value: Any) -> str:
    return "" if value is None or value != value else " ".join(str(value).split())  # NaN differs from itself


def _side(row: Mapping[str, Any], columns: Columns, table: str) -> Split:
    side = _text(row.get(columns.split)).lower()
    if side not in _SIDES:
        raise DataError(f"{table}: column {columns.split} holds {side[:20]!r}; expected train, validation or test")
    return _SIDES[side]
