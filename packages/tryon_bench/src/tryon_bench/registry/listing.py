"""The registry's tables as rows for machines and as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .._shared.errors import ConfigError
from .query import Digitised, find_methods, find_published, find_results, load_registry, method_named

_PRINTED = ("ssim", "lpips", "fid_paired", "kid_paired_x1000", "fid_unpaired", "kid_unpaired_x1000")


def list_table(
    table: str, *, methods: Mapping[str, Any], results: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], str]:
    """Rows of a table that fit the filters, and their text.

    Args:
        table: methods, results, published or grades.
        methods: filters of `query.find_methods`.
        results: filters of `query.find_results`.

    Raises:
        ConfigError: an unknown method, or a filter that the table does not have.
    """
    own = {"methods": set(methods), "results": set(results)}.get(table, {"method"})
    asked = {key for key, value in {**methods, **results}.items() if value is not None}
    if asked - own:
        raise ConfigError(f"registry {table}: --{sorted(asked - own)[0]} is no filter of this table")
    if table == "methods":
        found = find_methods(**methods)
        return [m.model_dump(mode="json") for m in found], _aligned(
            [
                (m.id, m.year, m.venue, m.pipeline, "+".join(m.warp), m.tryon_stage, m.code or m.arxiv)
                for m in found
            ],
            ("method", "year", "venue", "type", "warp", "try-on stage", "code"),
        )
    if table == "results":
        rows = find_results(**results)
        return [asdict(row) for row in rows], f"{_results(rows)}\n{_provenance(rows)}"
    name = methods["method"]
    return _published(name) if table == "published" else _grades(name)


def _results(rows: Sequence[Digitised]) -> str:
    cells = [
        (
            *(f"{row.name} {row.size}".strip(), row.year, row.dataset, row.setting, row.region, row.metric),
            *(f"{row.value:g}", f"{row.low:g} to {row.high:g}", "" if row.usable else "not usable"),
        )
        for row in rows
    ]
    return _aligned(cells, ("method", "year", "data", "setting", "region", "metric", "value", "reading error", ""))


def _provenance(rows: Sequence[Digitised]) -> str:
    notes = dict.fromkeys(row.note for row in rows if row.note)
    sources = dict.fromkeys(row.source for row in rows)
    return "\n".join([*(f"source: {source}" for source in sources), *(f"note: {note}" for note in notes)])


def _published(name: str | None) -> tuple[list[dict[str, Any]], str]:
    rows = find_published(name)
    cells = [
        (row.method, row.source, row.evidence, *(_number(getattr(row, column)) for column in _PRINTED))
        for row in rows
    ]
    text = _aligned(cells, ("method", "source", "evidence", *_PRINTED))
    return [row.model_dump(mode="json") for row in rows], (
        f"{text}\nVITON-HD; protocols not known in full. Evidence: S secondary source, M general knowledge, D digitised"
    )


def _grades(name: str | None) -> tuple[list[dict[str, Any]], str]:
    grades = load_registry().grades
    key = None if name is None else method_named(name).id
    rows = [row.model_dump() for row in grades.shares if key in (None, row.method)]
    text = _aligned([tuple(row.values()) for row in rows], ("method", "E", "D", "C", "B", "A"))
    return rows, f"{text}\nshares, +-{grades.error}; whether A or E is better is not stated in the picture"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _aligned(rows: Sequence[tuple[object, ...]], header: tuple[str, ...]) -> str:
    cells = [header, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    return "\n".join("  ".join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)
