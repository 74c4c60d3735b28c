"""The selectivity matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._shared.report.figures import svg_chart
from .selectivity import METRICS, Selectivity

_HEADS = {
    "ssim_rgb_gaussian_valid": "1 - SSIM",
    "lpips_alex": "LPIPS",
    "psnr": "squared\nerror",
    "colour": "colour\ndifference",
}


def selectivity_svg(cells: Sequence[Selectivity]) -> str:
    """Rows are corruptions, columns are metrics: loss of the damaged region, and of the other one in brackets.

    Args:
        cells: of all corruptions and metrics.

    Returns:
        SVG text; the shade is the loss of the damaged region relative to the largest of its column.
    """
    names = list(dict.fromkeys((cell.corruption, cell.region) for cell in cells))
    found = {(cell.corruption, cell.metric): cell for cell in cells}
    table = np.array([[found[name, metric].inside for metric in METRICS] for name, _ in names])
    shades = table / table.max(axis=0)

    def draw(axes: Any) -> None:
        axes.imshow(shades, cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
        for row, (name, _) in enumerate(names):
            for column, metric in enumerate(METRICS):
                cell = found[name, metric]
                inside = f"{cell.inside:.0f}" if cell.inside >= 100 else f"{cell.inside:.2g}"
                text = f"{inside} ({cell.outside:.2g})"
                axes.text(column, row, text, ha="center", va="center", color="#1c2024", fontsize=9)
        axes.set_xticks(range(len(METRICS)), [_HEADS[metric] for metric in METRICS])
        axes.set_yticks(range(len(names)), [f"{name} ({region})" for name, region in names])
        axes.grid(visible=False)

    return svg_chart(draw, height=1.1 + 0.34 * len(names))
