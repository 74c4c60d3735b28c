"""Compare the methods of an evaluation."""

from __future__ import annotations

from pathlib import Path

from ._shared.errors import ConfigError
from .engine.evaluation import read_evaluation
from .report.comparisons import ComparisonTable, compare_metric
from .report.labels import metric_label, number
from .stats.comparisons import Comparison


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
    found = [compare_metric(evaluation, protocol, name, region) for protocol, name in chosen]
    tables = [table for table in found if table is not None]
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
