"""Leaderboards as Markdown, LaTeX, CSV and JSON. One table holds one protocol: hashes are never mixed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .._shared.errors import ConfigError
from .._shared.strict_json import to_json
from ..engine.evaluation import Evaluation
from ..engine.results import Result
from .labels import column_label, with_interval

TableFormat = Literal["markdown", "latex", "csv", "json"]


@dataclass(frozen=True)
class Leaderboard:
    """Methods by metrics under one protocol.

    Attributes:
        protocol: name and hash.
        setting: paired or unpaired.
        warning: NOT COMPARABLE, or "".
        columns: (metric, region) in the order of computation.
        cells: method -> column -> result.
        notes: method -> what must stand beside its numbers.
    """

    protocol: str
    setting: str
    warning: str
    columns: tuple[tuple[str, str], ...]
    cells: dict[str, dict[tuple[str, str], Result]]
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def heads(self) -> list[str]:
        """One name per column."""
        first = next(iter(self.cells.values()))
        return [column_label(first[column]) for column in self.columns]

    @property
    def caption(self) -> str:
        """Setting, protocol hash, warning and the methods' notes, which belong beside every number."""
        counts = {result.n for row in self.cells.values() for result in row.values()}
        n = f"n = {min(counts)}" if len(counts) == 1 else f"n = {min(counts)} to {max(counts)}"
        text = f"{self.setting}, {self.protocol}, {n} pairs, 95 % intervals in brackets"
        notes = [f"{method}: {note}" for method, note in self.notes.items()]
        return ". ".join([text, *([self.warning] if self.warning else []), *notes])


def leaderboards(evaluation: Evaluation) -> list[Leaderboard]:
    """One table for each protocol of an evaluation."""
    boards = []
    for protocol in dict.fromkeys(result.protocol for result in evaluation.results):
        own = [result for result in evaluation.results if result.protocol == protocol]
        columns = tuple(dict.fromkeys((result.metric, result.region) for result in own))
        cells: dict[str, dict[tuple[str, str], Result]] = {method: {} for method in evaluation.methods}
        for result in own:
            cells[result.method][result.metric, result.region] = result
        boards.append(
            Leaderboard(protocol, evaluation.setting, evaluation.warning, columns, cells, evaluation.notes)
        )
    return boards


def write_table(board: Leaderboard, form: TableFormat) -> str:
    """The table as text.

    Args:
        board: one protocol.
        form: markdown, latex (booktabs), csv (one row per number) or json.

    Raises:
        ConfigError: another form.
    """
    writers: dict[str, Callable[[Leaderboard], str]] = {
        "markdown": _markdown,
        "latex": _latex,
        "csv": _csv,
        "json": _json,
    }
    if form not in writers:
        raise ConfigError(f"table format {form!r}: expected one of {', '.join(writers)}")
    return writers[form](board)


def _rows(board: Leaderboard) -> list[list[str]]:
    return [
        [method, *(with_interval(row[column]) if column in row else "" for column in board.columns)]
        for method, row in board.cells.items()
    ]


def _markdown(board: Leaderboard) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = "|" + "---|" * (len(board.columns) + 1)
    rows = [line(row) for row in _rows(board)]
    return "\n".join([f"*{board.caption}*", "", line(["method", *board.heads]), rule, *rows]) + "\n"


def _latex(board: Leaderboard) -> str:
    def escaped(text: str) -> str:
        text = "".join(_LATEX.get(character, character) for character in text)
        return text.replace("\u2191", r"$\uparrow$").replace("\u2193", r"$\downarrow$")

    body = [" & ".join(escaped(cell) for cell in row) + r" \\" for row in _rows(board)]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            rf"\caption{{{escaped(board.caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * len(board.columns)}}}",
            r"\toprule",
            " & ".join(escaped(cell) for cell in ["method", *board.heads]) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def _csv(board: Leaderboard) -> str:
    stream = io.StringIO()
    names = list(Result.__dataclass_fields__)
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    for row in board.cells.values():
        for result in row.values():
            writer.writerow(
                {**result.to_json(), **{k: number_or_empty(result, k) for k in ("value", "low", "high")}}
            )
    return stream.getvalue()


def number_or_empty(result: Result, name: str) -> str:
    """A field with all of its digits; empty where undefined."""
    value: Any = getattr(result, name)
    return "" if value != value else repr(value)


def _json(board: Leaderboard) -> str:
    content = {
        "protocol": board.protocol,
        "setting": board.setting,
        "warning": board.warning,
        "notes": board.notes,
        "results": [result.to_json() for row in board.cells.values() for result in row.values()],
    }
    return to_json(content, indent=1) + "\n"
