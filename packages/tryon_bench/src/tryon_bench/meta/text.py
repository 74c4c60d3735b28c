"""The study for a terminal."""

from __future__ import annotations

import math

from ..report.labels import metric_label, number
from .study import Study


def study_text(study: Study) -> str:
    """One line per corruption and metric, then what a wrong garment does."""
    lines = [f"{'corruption':18}{'region':10}{'metric':40}{'inside':>10}{'outside':>10}  times more"]
    for cell in study.cells:
        ratio = "only inside" if math.isinf(cell.ratio) else f"{cell.ratio:.1f}"
        lines.append(
            f"{cell.corruption:18}{cell.region:10}{metric_label(cell.metric):40}"
            f"{number(cell.inside):>10}{number(cell.outside):>10}  {ratio}"
        )
    garment = study.garment
    lines.append(
        f"wrong garment, n = {garment.n}: Fréchet distance (EfficientNet-lite0) {number(garment.right)} -> "
        f"{number(garment.wrong)} ({100 * garment.change:.1f} % change), garment similarity "
        f"{number(garment.similarity_right)} -> {number(garment.similarity_wrong)}"
    )
    return "\n".join(lines)
