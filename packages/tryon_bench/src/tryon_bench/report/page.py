"""The report page: leaderboards that sort, comparisons, and a gallery of the worst cases that filters."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._shared.files import atomic_write
from .._shared.report.figures import Series, line_chart_svg
from .._shared.report.html import Figure
from ..engine.evaluation import Evaluation
from ..engine.results import is_higher_better
from ..stats.bradley_terry import Strength
from .comparisons import compare_metric
from .labels import column_label, metric_label, number, with_interval
from .pictures import pictures_of
from .ranks import critical_difference_svg
from .tables import Leaderboard, leaderboards

if TYPE_CHECKING:
    from jinja2 import Template

WORST = 4  # pairs per method and metric in the gallery


def write_report(
    evaluation: Evaluation,
    path: Path,
    *,
    strengths: Sequence[Strength] = (),
    note: str = "",
) -> Path:
    """Write one self-contained HTML file.

    Args:
        evaluation: what was measured.
        path: the file.
        strengths: ranking of blind votes, if there were any.
        note: what a reader must know first.

    Raises:
        ResourceError: the file cannot be written.
    """
    boards = leaderboards(evaluation)
    page = template("page.html.j2").render(
        evaluation=evaluation,
        note=" ".join(text for text in (evaluation.warning, note) if text),
        boards=[_board(board) for board in boards],
        comparisons=[_comparison(evaluation, board) for board in boards],
        strengths=strengths,
        bias=_bias(evaluation),
        gallery=json.dumps(_gallery(evaluation, boards[0])).replace("<", "\\u003c"),
        metrics=[(m, metric_label(m)) for m in _pair_metrics(evaluation, boards[0])],
        style=resource("page.css"),
        script=resource("page.js"),
        number=number,
    )
    atomic_write(path, page)
    return path


def resource(name: str) -> str:
    """Text of a file beside this module."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def template(name: str) -> Template:
    """A page's template; everything from outside is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["data_address"] = lambda svg: Figure(svg, "", "").source
    return environment.from_string(resource(name))


def _board(board: Leaderboard) -> dict[str, Any]:
    rows = []
    for method, row in board.cells.items():
        cells = [
            {
                "text": with_interval(row[column]) if column in row else "not defined here",
                "value": _sort_value(row[column].value) if column in row else "",
                "note": row[column].note if column in row else "",
            }
            for column in board.columns
        ]
        rows.append({"method": method, "cells": cells})
    first = next(iter(board.cells.values()))
    heads = [
        {"label": column_label(first[column]), "higher": first[column].higher_is_better}
        for column in board.columns
    ]
    return {"caption": board.caption, "protocol": board.protocol, "heads": heads, "rows": rows}


def _bias(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One chart per protocol, metric and region, with a line per method and what it runs to."""
    charts = []
    for key in dict.fromkeys((c.protocol, c.metric, c.region) for c in evaluation.curves):
        lines = [c for c in evaluation.curves if (c.protocol, c.metric, c.region) == key]
        protocol, metric, region = key
        label = metric_label(metric) + ("" if region == "all" else f", {region}")
        figure = line_chart_svg(
            [Series(c.method, c.n, c.distance) for c in lines], x_label="images", y_label=label
        )
        limits = [{"method": c.method, "value": number(c.extrapolated)} for c in lines]
        charts.append({"title": f"{label}, {protocol}", "figure": figure, "limits": limits, "n": lines[0].n[-1]})
    return charts


def _sort_value(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def _pair_metrics(evaluation: Evaluation, board: Leaderboard) -> list[str]:
    """Metrics of single pairs under the board's protocol."""
    return list(dict.fromkeys(s.metric for s in evaluation.scores if s.protocol == board.protocol))


def _comparison(evaluation: Evaluation, board: Leaderboard) -> dict[str, Any] | None:
    """Paired tests and ranks of every per-pair metric of the protocol; None for a single method."""
    if len(evaluation.methods) < 2:
        return None
    keys = dict.fromkeys((s.metric, s.region) for s in evaluation.scores if s.protocol == board.protocol)
    found = [compare_metric(evaluation, board.protocol, metric, region) for metric, region in keys]
    tables = [
        {
            "title": f"{metric_label(table.metric)}, {table.region}",
            "rows": table.comparisons,
            "figure": critical_difference_svg(table.ranks),
        }
        for table in found
        if table is not None
    ]
    return {"protocol": board.protocol, "tables": tables}


def _gallery(evaluation: Evaluation, board: Leaderboard) -> list[dict[str, Any]]:
    """The worst pairs of every method and metric, with their pictures and all of their numbers."""
    own = [score for score in evaluation.scores if score.protocol == board.protocol]
    worst: dict[str, list[dict[str, str]]] = {}
    for method in evaluation.methods:
        for metric, region in dict.fromkeys((s.metric, s.region) for s in own):
            column = [
                s
                for s in own
                if (s.method, s.metric, s.region) == (method, metric, region) and math.isfinite(s.value)
            ]
            column.sort(key=lambda s: s.value, reverse=not is_higher_better(metric))
            for score in column[:WORST]:
                reason = {"method": method, "metric": metric, "region": region, "value": number(score.value)}
                worst.setdefault(score.pair_id, []).append(reason)
    return [
        {
            "pair": pair,
            "reasons": reasons,
            "pictures": pictures_of(evaluation.images[pair]),
            "methods": list(evaluation.methods),
        }
        for pair, reasons in worst.items()
    ]
