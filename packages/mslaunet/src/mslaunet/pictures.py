"""Side-by-side pictures of image, reference and prediction."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ._shared.report.figures import PALETTE, overlay_rgb


@dataclass(frozen=True)
class Panel:
    """One picture: plane (H, W) in [0, 1] or RGB (H, W, 3), labels (H, W) or None, pixel aspect height / width."""

    title: str
    plane: np.ndarray
    labels: np.ndarray | None = None
    aspect: float = 1.0


def comparison_png(rows: Sequence[Sequence[Panel]], classes: Mapping[int, str], *, note: str = "") -> bytes:
    """Draw rows of panels with label outlines and a legend of the classes; returns a PNG file.

    Args:
        rows: panels, all rows of the same length; row 0 of a plane is drawn at the top.
        classes: label id to name, without background.
        note: a line under the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    columns = len(rows[0])
    figure = Figure(
        figsize=(3.2 * columns, 3.1 * len(rows) + 0.8), dpi=110, layout="constrained", facecolor="white"
    )
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for panels, line in zip(rows, axes, strict=True):
        for panel, axis in zip(panels, line, strict=True):
            labels = np.zeros(panel.plane.shape[:2], np.uint8) if panel.labels is None else panel.labels
            axis.imshow(overlay_rgb(panel.plane, labels), aspect=panel.aspect, interpolation="nearest")
            axis.set_title(panel.title, fontsize=10)
            axis.set_axis_off()
    handles = [Patch(color=PALETTE[(i - 1) % len(PALETTE)], label=name) for i, name in classes.items() if i > 0]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(7, len(handles)), fontsize=9, frameon=False
    )
    if note:
        figure.suptitle(note, fontsize=9, color="0.35")
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def disagreement_slice(predicted: np.ndarray, reference: np.ndarray) -> int:
    """The axial slice (last axis of (X, Y, Z)) in which most voxels differ."""
    return int((predicted != reference).sum((0, 1)).argmax())


def case_panels(
    case_id: str, plane: np.ndarray, reference: np.ndarray, predicted: np.ndarray, aspect: float = 1.0
) -> list[Panel]:
    """Image, reference and prediction of one slice side by side."""
    return [
        Panel(case_id, plane, None, aspect),
        Panel("reference", plane, reference, aspect),
        Panel("prediction", plane, predicted, aspect),
    ]
