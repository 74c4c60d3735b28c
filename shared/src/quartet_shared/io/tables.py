"""CSV tables, and paths that come out of them: both are input from strangers.

The only caller of `csv.reader`, strict where it is silent: NUL bytes, open quotes, short rows and a byte-order mark.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TextIO

from ..errors import DataError

_MAX_LINE = 2**20  # characters; a report or a list of paths is far shorter


def read_table(
    path: Path, *, required: Sequence[str] = (), key: str | None = None, delimiter: str = ","
) -> list[dict[str, str]]:
    """Read a comma-separated UTF-8 table with a header line; a byte-order mark and CRLF are accepted.

    A name that ends in `.gz` is unpacked while it is read.

    Blank lines are skipped. Line numbers in messages count from 1, the header included.

    Args:
        path: the file.
        required: columns that must be there.
        key: column whose values must be present and all different.
        delimiter: what separates the columns.

    Returns:
        One mapping, column to text, per row.

    Raises:
        DataError: not text, damaged, a column missing, twice or without a name, a row shorter or longer than the
            header, an overlong field, an open quote, or an empty or repeated key. Values are not shown.
    """
    rows: list[dict[str, str]] = []
    first_lines: dict[str, int] = {}
    records = _records(path, delimiter)
    header = _header(path.name, next(records, (1, []))[1], [*required, *([key] if key else [])])
    for line, fields in records:
        if len(fields) != len(header):
            raise DataError(f"{path.name}: line {line} has {len(fields)} fields, the header has {len(header)}")
        row = dict(zip(header, fields, strict=True))
        if key is not None:
            value = row[key].strip()
            if not value:
                raise DataError(f"{path.name}: line {line} has no {key}; fill it in")
            if value in first_lines:
                raise DataError(
                    f"{path.name}: line {line} repeats the {key} of line {first_lines[value]}; keep one"
                )
            first_lines[value] = line
        rows.append(row)
    return rows


def safe_relative_path(root: Path, text: str) -> Path:
    """Resolve a path written in a table, which must stay inside `root`.

    Args:
        root: the data set's folder.
        text: a relative path with forward slashes.

    Returns:
        `root / text`; it need not exist.

    Raises:
        DataError: empty, absolute, with `..`, a backslash or NUL, or led out of `root` by a symbolic link.
    """
    relative = PurePosixPath(text)
    plain = text.strip() and "\0" not in text and "\\" not in text and ".." not in relative.parts
    if not plain or relative.is_absolute() or PureWindowsPath(text).drive:
        raise DataError(
            f"{relative.name[:80]!r}: expected a relative path inside the data folder, without '..' and backslashes"
        )
    path = root / relative
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as err:  # a loop of links, no character of the system
        raise DataError(
            f"{relative.name[:80]!r}: the path cannot be resolved; check it for loops of links"
        ) from err
    if not inside:
        raise DataError(f"{relative.name!r}: a symbolic link leads out of the data folder; copy the file into it")
    return path


def _header(name: str, fields: list[str], required: Sequence[str]) -> list[str]:
    header = [field.strip() for field in fields]
    if not all(header) or len(set(header)) < len(header):
        raise DataError(f"{name}: line 1 must name every column, each once")
    missing = [column for column in required if column not in header]
    if missing:
        raise DataError(
            f"{name}: no column {', '.join(missing)}; line 1 has {', '.join(header)[:200] or 'nothing'}"
        )
    return header


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each record that is not blank; the one place where read errors become ours."""
    line = 1
    try:
        with _opened(path) as stream:
            reader = csv.reader(_lines(stream, path.name), strict=True, delimiter=delimiter)
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise DataError(f"{path.name}: a damaged gzip file; get it again") from err
    except OSError as err:
        raise DataError(f"{path.name}: cannot be read ({err.strerror}); check the path") from err
    except UnicodeDecodeError as err:
        raise DataError(f"{path.name}: not UTF-8 text, at or after line {line}; save it as UTF-8") from err
    except csv.Error as err:
        raise DataError(
            f"{path.name}: the record from line {line} is damaged ({err}); look for an open quote"
        ) from err


def _opened(path: Path) -> TextIO:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _lines(stream: TextIO, name: str) -> Iterator[str]:
    number = 1
    while line := stream.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE or "\0" in line:
            what = f"more than {_MAX_LINE} characters" if len(line) > _MAX_LINE else "a NUL character"
            raise DataError(f"{name}: line {number} has {what}; expected a text table")
        yield line
        number += 1
