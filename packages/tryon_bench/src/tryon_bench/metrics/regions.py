"""Metrics of a region: the two reductions that the literature mixes up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion


def filled_outside(image: NDArray[np.uint8], mask: NDArray[np.bool_], fill: int) -> NDArray[np.uint8]:
    """The image with a constant outside the region, the first step of the `canvas` reduction.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W), True inside.
        fill: grey value.

    Returns:
        (H, W, 3) uint8.
    """
    return np.where(mask[:, :, None], image, np.uint8(fill))


def masked_mean(metric_map: NDArray[Any], mask: NDArray[np.bool_], *, radius: int = 0, border: int = 0) -> float:
    """Mean of a metric's map inside a region that is shrunk by the metric's window, so that nothing outside counts.

    Args:
        metric_map: (H - 2 border, W - 2 border).
        mask: (H, W), True inside.
        radius: of the metric's square window, px.
        border: pixels that the map lacks on each side.

    Returns:
        The mean; NaN (undefined) where nothing is left of the region.

    Example:
        >>> import numpy as np
        >>> masked_mean(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[True, True], [False, False]]))
        1.5
    """
    inside = shrunk(mask, radius)[border : mask.shape[0] - border, border : mask.shape[1] - border]
    return float(metric_map[inside].mean()) if inside.any() else math.nan


def shrunk(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """The mask without what lies within `radius` (chessboard distance) of its outside; the frame does not shrink it."""
    if radius == 0:
        return mask
    # a square is separable: two thin passes instead of one of (2r + 1)^2
    rows = binary_erosion(mask, np.ones((2 * radius + 1, 1)), border_value=1)
    return binary_erosion(rows, np.ones((1, 2 * radius + 1)), border_value=1)


def grown(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """The mask with everything within `radius` (chessboard distance) of it."""
    if radius == 0:
        return mask
    return binary_dilation(binary_dilation(mask, np.ones((2 * radius + 1, 1))), np.ones((1, 2 * radius + 1)))


def edge_band(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Pixels within `radius` of the region's border, on both sides of it."""
    return grown(mask, radius) & ~shrunk(mask, radius)


def cut_out(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The region's bounding box on white, as a shop shows a garment.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W), True somewhere.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return filled_outside(image[box], mask[box], 255)
