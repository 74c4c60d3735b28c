"""Any table of image paths and texts: csv, tsv, parquet or JSON lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._shared.errors import DataError
from .chexpert_labels import CHEXPERT_LABELS
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
    """Names of a table's columns; what is None or () is guessed by usual names, what is given must be there.

    Attributes:
        image: path of the film, below the table's folder.
        text: texts that make the report, joined in this order.
        patient: who the film is of; where there is no such column, every film is its own patient.
        split: side of the film: train, validation or test.
        labels: findings: 1, 0, -1 or nothing; guessed are the findings of the CheXpert labeller.
    """

    image: str | None = None
    text: tuple[str, ...] = ()
    patient: str | None = None
    split: str | None = None
    labels: tuple[str, ...] = ()


def load_table(path: Path, columns: Columns | None = None) -> PairDataset:
    """Read a table, or the only table of a folder.

    Raises:
        DataError: no table, a missing column (file and column are named), or an image path that leads elsewhere.
    """
    columns = columns or Columns()
    table = find_file(path, *(f"*{suffix}" for suffix in TABLE_SUFFIXES)) if path.is_dir() else path
    given = (columns.image, *columns.text, columns.patient, columns.split, *columns.labels)
    rows = read_rows(table, [name for name in given if name])
    if not rows:
        raise DataError(f"{table.name}: holds no rows")
    try:
        columns = complete_columns(columns, [str(name) for name in rows[0]])
    except DataError as err:
        raise DataError(f"{table.name}: {err}") from err
    base, drop = image_root(table.parent, str(rows[0][str(columns.image)]))
    pairs, excluded = [], {}
    for count, row in enumerate(rows, start=1):
        texts = {name: _text(row[name]) for name in columns.text}
        image = _text(row[str(columns.image)])
        if not image or (columns.text and not any(texts.values())):
            excluded[f"{table.name} row {count}"] = "no text" if image else f"no {columns.image}"
            continue
        patient = _text(row.get(columns.patient or "")) or f"row {count}"
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


def complete_columns(columns: Columns, header: Sequence[str]) -> Columns:
    """Guess what is not given by the usual names.

    Raises:
        DataError: no column for images or texts; the message lists the columns there are.

    Example:
        >>> complete_columns(Columns(), ["Path", "findings", "impression", "subject_id", "Edema"])
        Columns(image='Path', text=('impression', 'findings'), patient='subject_id', split=None, labels=('Edema',))
    """
    by_name = {name.lower(): name for name in header}

    def first(*names: str) -> str | None:
        return next((by_name[name] for name in names if name in by_name), None)

    image = columns.image or first(
        "image", "image_path", "path", "path_to_image", "file", "filename", "file_name", "img"
    )
    one = first("report", "text", "caption", "report_text", "sentence")
    both = tuple(by_name[name] for name in ("impression", "findings") if name in by_name)
    text = columns.text or ((one,) if one else both)
    if image is None or not text:
        what, flag = ("images", "--image-col") if image is None else ("texts", "--text-col")
        raise DataError(f"no column for {what} among {', '.join(header)[:200]}; name it with {flag}")
    patient = columns.patient or first("patient_id", "subject_id", "patient", "patientid")
    labels = columns.labels or tuple(name for name in header if name in CHEXPERT_LABELS)
    return Columns(image, text, patient, columns.split or first("split"), labels)


def _text(value: Any) -> str:
    return "" if value is None or value != value else " ".join(str(value).split())  # NaN differs from itself


def _side(row: Mapping[str, Any], columns: Columns, table: str) -> Split:
    side = _text(row.get(columns.split or "")).lower()
    if side not in _SIDES:
        raise DataError(f"{table}: column {columns.split} holds {side[:20]!r}; expected train, validation or test")
    return _SIDES[side]
