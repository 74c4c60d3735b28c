"""One HTML file with text, tables and pictures: no script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import functools
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from jinja2 import Template

Cell = str | int | float | None

_PNG = b"\x89PNG\r\n\x1a\n"
# "0.71", "-3", "1,234", "0.65 to 0.78", "12 (+ 2 absent)"; text such as "3D UNet" has a letter right behind.
_NUMBER = re.compile(r"[(\[±+\-−]?\d[\d.,]*(?![A-Za-z])")


@dataclass(frozen=True)
class Table:
    """Rows below a header; the first column names the row.

    None and NaN are shown as "undefined", floats with four significant digits. Numbers are aligned right.

    Attributes:
        header: one name per column.
        rows: cells, as many per row as the header has.
        caption: a line above the table.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, 1):
            if len(row) != len(self.header):
                raise ConfigError(f"report table: row {number} has {len(row)} cells, expected {len(self.header)}")

    @property
    def texts(self) -> list[list[str]]:
        """The cells as they are shown."""
        return [[_text(cell) for cell in row] for row in self.rows]

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers; the first one holds names."""
        columns = list(zip(*self.texts, strict=True)) or [()] * len(self.header)
        return [index > 0 and _is_numeric(column) for index, column in enumerate(columns)]


@dataclass(frozen=True)
class Figure:
    """A picture: PNG bytes or SVG text, a caption below it, and `alt` for those who do not see it."""

    image: bytes | str
    caption: str
    alt: str

    def __post_init__(self) -> None:
        if isinstance(self.image, bytes) and not self.image.startswith(_PNG):
            raise ConfigError(f"report figure: expected PNG bytes or SVG text, got bytes {self.image[:8]!r}")

    @property
    def source(self) -> str:
        """The picture as a data address. An SVG inside `img` runs no script and loads nothing."""
        if isinstance(self.image, str):
            return "data:image/svg+xml;base64," + base64.b64encode(self.image.encode()).decode()
        return "data:image/png;base64," + base64.b64encode(self.image).decode()

    @property
    def is_wide(self) -> bool:
        """Whether a phone has to scroll it sideways, because shrinking would hide the details."""
        if isinstance(self.image, str):
            return False
        width, height = struct.unpack(">II", self.image[16:24])  # the IHDR chunk comes first
        return bool(width > 1.5 * height and width > 640)


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs (separated by an empty line), tables and figures."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()

    @property
    def paragraphs(self) -> list[str]:
        """The text, split at empty lines."""
        return [part for part in re.split(r"\n\s*\n", self.text.strip()) if part]


def render_report(title: str, sections: Sequence[Section], *, note: str = "") -> str:
    """Fill the page; everything that comes from outside is escaped.

    Args:
        title: heading of the page.
        sections: in the order of reading.
        note: what a reader must know first, such as a limit of the evidence; shown in a box.

    Returns:
        An HTML document, light or dark as the reader's system asks, readable at 360 px and on paper.

    Example:
        >>> "&lt;img&gt;" in render_report("demo", [Section("case <img>", text="fine")])
        True
    """
    return _template().render(title=title, sections=sections, note=note)


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    text = files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text)


def _text(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "undefined"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _is_numeric(column: Sequence[str]) -> bool:
    known = [text for text in column if not text.startswith(("undefined", "none"))]
    return bool(known) and all(_NUMBER.match(text) for text in known)
