"""Excel tables; the only caller of openpyxl."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .._shared.errors import DataError
from .._shared.files import atomic_path

_MAX_ROWS = 2_000_000  # Duke's table of files has hundreds of thousands


def read_sheet(
    path: Path, *, sheet: str | None = None, header_row: int = 1, required: Sequence[str] = ()
) -> list[dict[str, str]]:
    """Read a sheet of an .xlsx file as text: numbers as Python writes them (whole ones without a point), empty as "".

    Args:
        path: the file.
        sheet: its name; the first one by default.
        header_row: the row with the names, from 1; what stands above is skipped. Names that repeat keep the first.
        required: columns that must be there.

    Raises:
        DataError: no such file or sheet, not an .xlsx file, or a column is missing.
    """
    table = read_cells(path, sheet=sheet)
    if len(table) < header_row:
        raise DataError(
            f"{path.name}: row {header_row} should hold the names of columns; it has {len(table)} rows"
        )
    header = table[header_row - 1]
    missing = [name for name in required if name not in header]
    if missing:
        raise DataError(f"{path.name}: no column {', '.join(missing)} in row {header_row}")
    places = {name: header.index(name) for name in header if name}
    return [{name: row[at] for name, at in places.items()} for row in table[header_row:] if any(row)]


def read_cells(path: Path, *, sheet: str | None = None) -> list[list[str]]:
    """All cells of a sheet as text, see `read_sheet`.

    Raises:
        DataError: no such file or sheet, or not an .xlsx file.
    """
    from openpyxl import load_workbook  # slow to import

    try:
        book = load_workbook(path, read_only=True, data_only=True)
        if sheet is not None and sheet not in book.sheetnames:
            raise DataError(f"{path.name}: no sheet {sheet!r}; it has {', '.join(book.sheetnames)[:200]}")
        page = book[sheet] if sheet else book[book.sheetnames[0]]
        cells = [[_text(cell) for cell in row] for row in page.iter_rows(values_only=True, max_row=_MAX_ROWS)]
        book.close()
    except DataError:
        raise
    except Exception as err:  # openpyxl raises whatever a damaged archive or document leads to
        raise DataError(f"{path.name}: cannot be read; expected an .xlsx table") from err
    return cells


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def write_sheet(path: Path, rows: Sequence[Sequence[object]], *, sheet: str = "Sheet1") -> None:
    """Write one sheet as .xlsx, atomically.

    Raises:
        ResourceError: the file cannot be written.
    """
    from openpyxl import Workbook  # slow to import

    book = Workbook()
    page = book.active
    page.title = sheet
    for row in rows:
        page.append(list(row))
    with atomic_path(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        book.save(temporary)
