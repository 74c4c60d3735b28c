"""Maximum intensity projections of the first subtraction, with the map over it."""

from __future__ import annotations

import io

import numpy as np

from ..data.study import Study
from .findings import Prediction

VIEWS = {"axial": 2, "coronal": 1, "sagittal": 0}


def mip_pngs(study: Study, prediction: Prediction, notice: str) -> dict[str, bytes]:
    """One PNG per view: subtraction, and map with candidates; the patient's right is on the left, head or nose up."""
    subtraction = (study.phases[min(1, len(study.phases) - 1)] - study.phases[0]).clip(0)
    return {view: _mip_png(study, subtraction, prediction, axis, view, notice) for view, axis in VIEWS.items()}


def _mip_png(
    study: Study, subtraction: np.ndarray, prediction: Prediction, axis: int, view: str, notice: str
) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across, up = (a for a in range(3) if a != axis)
    spacing = study.spacing_mm
    plane, heat = subtraction.max(axis).T, prediction.coam.max(axis).T
    top = float(np.percentile(plane, 99.5)) or 1.0
    width = study.shape[across] * spacing[across]
    height = study.shape[up] * spacing[up]
    figure = Figure(figsize=(9, 0.9 + 4.3 * height / width), dpi=100, layout="constrained", facecolor="white")
    axes = figure.subplots(1, 2)
    for panel, title in zip(axes, (f"{view} MIP, first subtraction", "COAM and candidates"), strict=True):
        options = {"origin": "lower", "aspect": spacing[up] / spacing[across], "interpolation": "nearest"}
        panel.imshow((plane / top).clip(0, 1), cmap="gray", **options)
        panel.set_title(title, fontsize=10)
        panel.set_axis_off()
    if heat.max() > 0:
        share = heat / heat.max()
        axes[1].imshow(share, cmap="inferno", alpha=0.6 * share.clip(0, 1), vmin=0, vmax=1, **options)
    for breast in prediction.breasts:
        for candidate in breast.candidates:
            index = np.linalg.solve(study.affine[:3, :3], np.array(candidate.center_mm) - study.affine[:3, 3])
            axes[1].plot(index[across], index[up], "o", ms=9, mfc="none", mec="cyan", mew=1.2)
            label = f"{breast.side[0].upper()}{candidate.rank}"
            axes[1].annotate(label, (index[across], index[up]), color="cyan", fontsize=8)
    for panel in axes if across == 0 else ():  # last: every drawing resets the limits
        panel.invert_xaxis()  # x grows to the patient's right, which readers expect on the left
    figure.suptitle(notice, fontsize=8, color="0.35")
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()
