"""The selectivity matrix as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._shared.report.figures import svg_chart
from ..report.labels import metric_label
from .selectivity import METRICS, Selectivity

_FULL = 1000.0  # ratios beyond are drawn alike


def selectivity_svg(cells: Sequence[Selectivity]) -> str:
    """Rows are corruptions, columns are metrics; the number says how much more the damaged region moved.

    Args:
        cells: of all corruptions and metrics.

    Returns:
        SVG text.
    """
    names = list(dict.fromkeys((cell.corruption, cell.region) for cell in cells))
    ratios = {(cell.corruption, cell.metric): cell.ratio for cell in cells}
    table = np.array([[min(ratios[name, metric], _FULL) for metric in METRICS] for name, _ in names])

    def draw(axes: Any) -> None:
        axes.imshow(np.log10(np.maximum(table, 0.1)), cmap="viridis", vmin=-1, vmax=3, aspect="auto")
        for row, (name, _) in enumerate(names):
            for column, metric in enumerate(METRICS):
                ratio = ratios[name, metric]
                text = "only" if math.isinf(ratio) else f"{ratio:.3g}x"
                dark = table[row, column] < 30
                axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
        axes.set_xticks(
            range(len(METRICS)), [metric_label(m).partition(" (")[0].partition(",")[0] for m in METRICS]
        )
        axes.set_yticks(range(len(names)), [f"{name} ({region})" for name, region in names])
        axes.grid(visible=False)

    return svg_chart(draw, height=0.9 + 0.34 * len(names))
