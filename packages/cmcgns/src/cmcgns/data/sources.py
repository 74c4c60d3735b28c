"""Tables, texts and files of a data set's folder: found by name, read with one kind of error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .._shared.errors import DataError
from .._shared.io.tables import read_table, safe_relative_path

TABLE_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".jsonl")
_MAX_TEXT = 2**22  # bytes; a report is a few thousand


def find_file(root: Path, *patterns: str) -> Path:
    """The first file of `root` that matches one of the shell patterns, in their order.

    Raises:
        DataError: no folder, or none matches.
    """
    if not root.is_dir():
        raise DataError(f"{root.name}: expected a data set folder, found none; check the path")
    found = find_optional(root, *patterns)
    if found is None:
        raise DataError(f"{root.name}: no {' or '.join(patterns)}; is it the data set's own folder?")
    return found


def find_optional(root: Path, *patterns: str) -> Path | None:
    """As `find_file`, None where nothing matches."""
    return next((path for pattern in patterns for path in sorted(root.glob(pattern)) if path.is_file()), None)


def read_rows(path: Path, required: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of a table: csv, tsv (both also .gz), parquet, or one JSON object per line.

    Raises:
        DataError: damaged, of another kind, or without a required column, which is named.
    """
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return [dict(row) for row in read_table(path, required=required)]
    if name.endswith((".tsv", ".tsv.gz")):
        return [dict(row) for row in read_table(path, required=required, delimiter="\t")]
    if name.endswith(".parquet"):
        rows = _parquet_rows(path)
    elif name.endswith(".jsonl"):
        rows = _json_rows(path)
    else:
        raise DataError(f"{path.name}: expected a table, one of {', '.join(TABLE_SUFFIXES)}")
    _require_columns(path.name, rows, required)
    return rows


def read_text(path: Path) -> str:
    """A whole text file, UTF-8; what is not UTF-8 is read as Latin-1, as old reports are.

    Raises:
        DataError: it is missing, unreadable, binary or larger than a text can be.
    """
    try:
        if path.stat().st_size > _MAX_TEXT:
            raise DataError(f"{path.name}: larger than {_MAX_TEXT >> 20} MB; expected a text file")
        content = path.read_bytes()
    except OSError as err:
        raise DataError(f"{path.name}: cannot be read ({err.strerror}); check the path") from err
    if b"\0" in content:
        raise DataError(f"{path.name}: holds NUL bytes; expected a text file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_json(path: Path) -> Any:
    """A JSON document.

    Raises:
        DataError: missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as err:
        raise DataError(f"{path.name}: cannot be read ({err.strerror}); check the path") from err
    except (ValueError, RecursionError) as err:
        raise DataError(f"{path.name}: not readable as JSON; get the file again") from err


def image_root(root: Path, first: str) -> tuple[Path, int]:
    """Where the image paths of a table begin: leading folders to drop, so that the first one exists below `root`.

    Tables name the release's own folder ("CheXpert-v1.0-small/train/..."), which users rename or point at.

    Returns:
        The root, and how many leading parts every path loses. (root, 0) where no choice leads to a file: then
        `doctor` and the reader name what is missing.
    """
    parts = PurePosixPath(first).parts
    for drop in range(min(len(parts), 4)):
        if (root / Path(*parts[drop:])).is_file():
            return root, drop
    return root, 0


def image_path(root: Path, text: str, drop: int = 0) -> Path:
    """A table's path below `root`, without its first `drop` parts.

    Raises:
        DataError: it leads out of `root`.
    """
    return safe_relative_path(root, str(PurePosixPath(*PurePosixPath(text).parts[drop:])))


def number(row: Mapping[str, Any], column: str, name: str) -> float | None:
    """A number of a table's cell, None where it is empty.

    Raises:
        DataError: something else is written there; the message names file and column.
    """
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        result = float(value)
    except (TypeError, ValueError) as err:
        raise DataError(
            f"{name}: column {column} holds {str(value)[:20]!r}; expected a number or nothing"
        ) from err
    if result != result:  # pandas writes an empty cell as NaN
        return None
    if abs(result) == float("inf"):
        raise DataError(f"{name}: column {column} holds an infinite value; expected a number or nothing")
    return result


def labels_of(row: Mapping[str, Any], columns: Sequence[str], name: str) -> dict[str, float]:
    """Findings of a row that are mentioned: 1, 0 or -1.

    Raises:
        DataError: another value.
    """
    labels = {}
    for column in columns:
        value = number(row, column, name)
        if value is not None:
            if value not in (1.0, 0.0, -1.0):
                raise DataError(f"{name}: column {column} holds {value:g}; expected 1, 0, -1 or nothing")
            labels[column] = value
    return labels


def box_in_film(
    corners: tuple[float, float, float, float], width: float, height: float, name: str
) -> tuple[float, float, float, float]:
    """Corners in pixels -> fractions of the film, clipped to it.

    Raises:
        DataError: nothing of the box is inside, or the size is not positive.
    """
    if width <= 0 or height <= 0:
        raise DataError(f"{name}: an image size of {width:g} x {height:g} pixels; expected positive numbers")
    x0, x1 = (min(max(v / width, 0.0), 1.0) for v in (corners[0], corners[2]))
    y0, y1 = (min(max(v / height, 0.0), 1.0) for v in (corners[1], corners[3]))
    if not (x1 > x0 and y1 > y0):
        raise DataError(f"{name}: a box without area inside the film of {width:g} x {height:g} pixels")
    return x0, y0, x1, y1


def natural_key(text: str) -> list[tuple[int, str]]:
    """Sort key under which "film 10" follows "film 9"."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def _require_columns(name: str, rows: Sequence[Mapping[str, Any]], required: Sequence[str]) -> None:
    if not rows:
        raise DataError(f"{name}: holds no rows")
    missing = [column for column in required if column not in rows[0]]
    if missing:
        found = ", ".join(map(str, rows[0]))[:200]
        raise DataError(f"{name}: no column {', '.join(missing)}; it has {found}")


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as err:
        raise DataError(f"{path.name}: not readable as parquet; check the path and the file") from err


def _json_rows(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise DataError(f"{path.name}: not readable as text; check the path and the file") from err
    rows = []
    for count, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as err:
            raise DataError(f"{path.name}: line {count} is not a JSON object") from err
        if not isinstance(row, dict):
            raise DataError(f"{path.name}: line {count} is not a JSON object")
        rows.append(row)
    return rows
