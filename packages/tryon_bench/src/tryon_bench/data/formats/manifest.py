"""A generic manifest: a CSV or JSON-lines table whose rows name the files of each pair."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..._shared.errors import ConfigError, DataError
from ..._shared.io.tables import read_table, safe_relative_path
from ..roles import OPTIONAL_ROLES, require_scheme
from ..sample import Dataset, Sample
from .options import Options

FORMAT = "manifest"
NAMES = ("manifest.csv", "manifest.jsonl")
REQUIRED = ("person", "garment")
COLUMNS = (*REQUIRED, "pair_id", "reference", "setting", "category", "self_pair", "parse_scheme", *OPTIONAL_ROLES)


def open_manifest(path: Path, options: Options) -> Dataset:
    """Open a table, or the `manifest.csv` or `manifest.jsonl` of a folder; paths are relative to the table.

    Columns: person, garment; optional pair_id, reference (default: person), setting (rows of the other setting are
    left out), category, self_pair (true or false), parse_scheme, and one per role: parse, garment_mask,
    agnostic_mask, agnostic, densepose, keypoints.

    Raises:
        DataError: unreadable, an unknown column, a row without person or garment, a path that leaves the folder, or
            no row of the setting.
        ConfigError: options that a manifest answers itself.
    """
    if options.folders or options.pairs:
        raise ConfigError("a manifest names its own files; --folder and --pairs are for the other formats")
    table = manifest_file(path)
    rows = _rows(table)
    chosen = [(number, row) for number, row in enumerate(rows, start=1) if _is_of(row, options.setting)]
    samples = tuple(_sample(table, number, row, options) for number, row in chosen)
    if not samples:
        raise DataError(f"{table.name}: no row of the setting {options.setting!r} among {len(rows)}")
    return Dataset(FORMAT, path, options.setting, samples, table.name)


def manifest_file(path: Path) -> Path:
    """The table itself.

    Raises:
        DataError: a folder without one.
    """
    if path.is_file():
        return path
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    raise DataError(f"{path.name}: no manifest; expected {' or '.join(NAMES)}")


def _rows(table: Path) -> list[dict[str, str]]:
    rows = _json_lines(table) if table.suffix == ".jsonl" else read_table(table, required=REQUIRED)
    for number, row in enumerate(rows, start=1):
        unknown = sorted(row.keys() - set(COLUMNS))
        if unknown:
            raise DataError(f"{table.name}: unknown column {unknown[0]!r}; known are {', '.join(COLUMNS)}")
        for name in REQUIRED:
            if not row.get(name):
                raise DataError(f"{table.name}: row {number} has no {name}; fill it in")
    return rows


def _json_lines(table: Path) -> list[dict[str, str]]:
    rows = []
    try:
        for number, line in enumerate(table.read_text(encoding="utf-8-sig").splitlines(), start=1):
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DataError(f"{table.name}: line {number} is no JSON object")
                rows.append({str(key): _text(value) for key, value in row.items() if value is not None})
    except (OSError, UnicodeDecodeError) as err:
        raise DataError(f"{table.name}: cannot be read as text; check the path") from err
    except (ValueError, RecursionError) as err:
        raise DataError(f"{table.name}: line {number} is not JSON; write one object per line") from err
    return rows


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_of(row: Mapping[str, str], setting: str) -> bool:
    return not row.get("setting") or row["setting"] == setting


def _sample(table: Path, number: int, row: Mapping[str, str], options: Options) -> Sample:
    def file(name: str) -> Path | None:
        return safe_relative_path(table.parent, row[name]) if row.get(name) else None

    person = safe_relative_path(table.parent, row["person"])
    garment = safe_relative_path(table.parent, row["garment"])
    worn = row.get("self_pair", "").lower()
    if worn not in ("", "true", "false"):
        raise DataError(f"{table.name}: row {number}: self_pair is {worn!r}; expected true or false")
    return Sample(
        pair_id=row.get("pair_id") or f"{person.stem}__{garment.stem}",
        person=person,
        garment=garment,
        reference=file("reference") or person,
        setting=options.setting,
        category=row.get("category", ""),
        self_pair=options.setting == "paired" if not worn else worn == "true",
        parse_scheme=require_scheme(options.parse_scheme or row.get("parse_scheme") or None, "lip"),
        **{role: file(role) for role in OPTIONAL_ROLES},
    )
