"""The one table that every layout is turned into: a row per breast, saved as CSV with JSON cells."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from .._shared.config import FrozenModel
from .._shared.errors import DataError
from .._shared.files import atomic_write
from .._shared.io.tables import read_table, safe_relative_path

FILE = "manifest.csv"
TRUTH = "truth.json"
_JSON = ("phases", "times_s", "box_ijk", "box_mm", "center_mm", "meta")
Box = tuple[float, float, float, float, float, float]


class Row(FrozenModel):
    """One breast of one study; paths are relative to the data folder.

    A path of a phase is a NIfTI file, a folder of 2-D slices, or `FOLDER#k`: phase k of the dynamic series found in a
    folder of DICOM files, or `FILE.parquet#row/name`.
    """

    study_id: str = Field(min_length=1)
    patient_id: str = Field(min_length=1, description="group key of every split; text, leading zeros count")
    site: str = ""
    side: Literal["left", "right", "bilateral"] = Field(description="bilateral: the label is of the study")
    phases: tuple[str, ...] = Field(min_length=1)
    times_s: tuple[float, ...] | None = None
    label: Literal[0, 1] | None = Field(None, description="malignant")
    label3: Literal[0, 1, 2] | None = Field(None, description="normal, benign, malignant")
    box_ijk: Box | None = Field(None, description="half-open, in the file's own axes: first three, last three")
    box_mm: Box | None = Field(None, description="RAS+: smallest x, y, z, largest x, y, z")
    center_mm: tuple[float, float, float] | None = Field(None, description="RAS+")
    mask_path: str | None = None
    split: Literal["", "train", "val", "test"] = ""
    fold: int | None = None
    meta: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Rows and the folder that their paths start from.

    Attributes:
        root: the data folder.
        layout: name of the format it was read from.
        rows: one per breast.
        warnings: what the loader had to assume or leave out, without identifiers.
    """

    root: Path
    layout: str
    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = ()

    @property
    def synthetic(self) -> bool:
        """Whether the data are phantoms: `breastmri synth` leaves the truth beside them."""
        return (self.root / TRUTH).is_file()

    def studies(self) -> dict[str, tuple[Row, ...]]:
        """The rows of each study, in the order of the table."""
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            groups[row.study_id].append(row)
        return {study: tuple(rows) for study, rows in groups.items()}

    def path(self, text: str) -> Path:
        """A path of the table inside the data folder.

        Raises:
            DataError: it leads out of the folder.
        """
        return safe_relative_path(self.root, text)


def write_manifest(manifest: Manifest, folder: Path, file_name: str = FILE) -> Path:
    """Write `manifest.csv`; what is not a text or a number is a JSON cell.

    Its paths start from the data folder, so elsewhere it takes another name.

    Raises:
        ResourceError: the folder cannot be written.
    """
    stream = io.StringIO()
    fields = list(Row.model_fields)
    writer = csv.DictWriter(stream, fields, lineterminator="\n")
    writer.writeheader()
    for row in manifest.rows:
        values = row.model_dump()
        for name in _JSON:
            values[name] = "" if values[name] is None else json.dumps(values[name])
        writer.writerow({name: "" if value is None else value for name, value in values.items()})
    atomic_write(folder / file_name, stream.getvalue())
    return folder / file_name


def read_manifest(folder: Path) -> Manifest:
    """Read `folder/manifest.csv`; its paths start from the folder.

    Raises:
        DataError: a column or value is wrong; the message names the line, and no identifier.
    """
    needed = ("study_id", "patient_id", "side", "phases")
    rows = []
    for number, record in enumerate(read_table(folder / FILE, required=needed), start=2):
        rows.append(_row(record, number))
    if not rows:
        raise DataError(f"{FILE}: no rows; expected one per breast")
    return Manifest(folder, "manifest", tuple(rows))


def _row(record: Mapping[str, str], number: int) -> Row:
    values: dict[str, Any] = {}
    for name, text in record.items():
        if text == "":
            continue
        try:
            values[name] = json.loads(text) if name in _JSON else text
        except ValueError as err:
            raise DataError(f"{FILE}: row {number}, {name}: expected JSON such as [0, 90]") from err
    for name in ("label", "label3", "fold"):
        if name in values:
            if not str(values[name]).strip().lstrip("-").isdigit():
                raise DataError(f"{FILE}: row {number}, {name}: expected a whole number or nothing")
            values[name] = int(values[name])
    try:
        return Row(**values)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{FILE}: row {number}, {where}: {first['msg']}") from err


def label_row(row: Row, **changes: Any) -> Row:
    """The row with other values, checked again."""
    return Row(**(row.model_dump() | changes))


def unique_rows(rows: Iterable[Row], layout: str) -> tuple[Row, ...]:
    """The rows, none twice.

    Raises:
        DataError: nothing was found, or a breast of a study is listed twice.
    """
    rows = tuple(rows)
    if not rows:
        raise DataError(f"{layout}: no usable study was found; check the folder and the layout's name")
    keys = {(row.study_id, row.side) for row in rows}
    if len(keys) < len(rows):
        raise DataError(f"{layout}: {len(rows) - len(keys)} breasts are listed twice; keep one row each")
    return rows
