"""The critical-difference diagram (Demsar 2006)."""

from __future__ import annotations

import math
from typing import Any

from .._shared.report.figures import svg_chart
from ..stats.comparisons import Ranks


def critical_difference_svg(ranks: Ranks) -> str:
    """Average ranks on a line; bars join methods that lie within the critical difference of each other.

    Args:
        ranks: of at least two methods.

    Returns:
        SVG text in the reader's colours.
    """
    ordered = sorted(ranks.average.items(), key=lambda item: item[1])
    values = [value for _, value in ordered]
    bars = _bars(values, ranks.critical_difference)

    def draw(axes: Any) -> None:
        axes.plot(values, [0] * len(values), marker="o", linestyle="", color="#0072b2")
        for place, (name, value) in enumerate(ordered):
            above = 0.25 + 0.22 * (place % 3)
            axes.annotate(
                name, (value, 0), (value, above), ha="center", arrowprops={"arrowstyle": "-", "alpha": 0.4}
            )
        for level, (low, high) in enumerate(bars):
            axes.plot([low, high], [-0.2 - 0.15 * level] * 2, linewidth=4, color="#d55e00", solid_capstyle="round")
        axes.set(xlabel="average rank (1 is best)", yticks=[], ylim=(-0.35 - 0.15 * len(bars), 1.0))
        axes.set_xlim(0.8, len(values) + 0.2)

    return svg_chart(draw, height=2.2)


def _bars(values: list[float], critical: float) -> list[tuple[float, float]]:
    """Maximal runs of ranks that lie within the critical difference."""
    if math.isnan(critical):
        return []
    runs: list[tuple[int, int]] = []
    for start in range(len(values)):
        end = max(index for index, value in enumerate(values) if value - values[start] < critical)
        if end > start and not (runs and runs[-1][1] >= end):
            runs.append((start, end))
    return [(values[start], values[end]) for start, end in runs]
