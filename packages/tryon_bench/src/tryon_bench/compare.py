"""Compare the methods of an evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._shared.errors import ConfigError
from .engine.evaluation import read_evaluation
from .engine.results import is_higher_better
from .report.labels import metric_label, number
from .stats.comparisons import Comparison, Ranks, compare_methods, rank_methods

LEVEL = 0.05


@dataclass(frozen=True)
class ComparisonTable:
    """All comparisons of one metric under one protocol.

    Attributes:
        protocol: name and hash.
        metric: its name.
        region: of the images.
        comparisons: every two methods.
        ranks: average ranks and their critical difference.
    """

    protocol: str
    metric: str
    region: str
    comparisons: tuple[Comparison, ...]
    ranks: Ranks

    @property
    def significant(self) -> bool:
        """Whether any two methods differ at 5 % after Holm's adjustment."""
        return any(row.p_holm < LEVEL for row in self.comparisons)

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return {
            "protocol": self.protocol,
            "metric": self.metric,
            "region": self.region,
            "comparisons": [row.to_json() for row in self.comparisons],
            "ranks": self.ranks.to_json(),
        }


def compare_run(run_dir: Path, *, metric: str | None = None, region: str = "all") -> list[ComparisonTable]:
    """Compare all methods of a run on its per-pair metrics.

    Args:
        run_dir: folder of a finished evaluation.
        metric: only this one.
        region: all, clothing or person.

    Raises:
        DataError: no finished evaluation.
        ConfigError: a single method, or no such metric in this region.
    """
    evaluation = read_evaluation(run_dir)
    if len(evaluation.methods) < 2:
        raise ConfigError(f"{run_dir.name}: holds one method; compare needs at least two")
    keys = dict.fromkeys((s.protocol, s.metric) for s in evaluation.scores if s.region == region)
    known = sorted({name for _, name in keys})
    chosen = [key for key in keys if metric in (None, key[1])]
    tables = []
    for protocol, name in chosen:
        scores = {method: evaluation.column(method, protocol, name, region) for method in evaluation.methods}
        if not all(any(math.isfinite(v) for v in column.values()) for column in scores.values()):
            continue
        higher = is_higher_better(name)
        rows = compare_methods(scores, higher_is_better=higher)
        ranks = rank_methods(scores, higher_is_better=higher)
        tables.append(ComparisonTable(protocol, name, region, tuple(rows), ranks))
    if not tables:
        raise ConfigError(
            f"{run_dir.name}: no per-pair metric {metric or ''} in region {region}; it has {', '.join(known) or 'none'}"
        )
    return tables


def comparison_text(tables: list[ComparisonTable]) -> str:
    """The tables for a terminal."""
    blocks = []
    for table in tables:
        lines = [f"{metric_label(table.metric)}, {table.region}, {table.protocol}"]
        lines += [_line(row) for row in table.comparisons]
        ranks = ", ".join(f"{name} {number(rank)}" for name, rank in table.ranks.average.items())
        lines.append(f"  average ranks: {ranks}; critical difference {number(table.ranks.critical_difference)}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _line(row: Comparison) -> str:
    ahead = f"{row.better} ahead in {100 * row.stability:.1f} % of resamples" if row.better else "equal"
    return (
        f"  {row.first} - {row.second}: {number(row.difference)} ({number(row.low)} to {number(row.high)}), "
        f"p = {number(row.p_value)}, Holm {number(row.p_holm)}, n = {row.n}; {ahead}"
    )
