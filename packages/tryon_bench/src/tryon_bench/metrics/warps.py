"""How far a warp is from a known one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError


def end_point_error(
    where: NDArray[np.float64],
    truth: NDArray[np.float64],
    mask: NDArray[np.bool_],
    size: tuple[int, int] = (1, 1),
) -> float:
    """Mean distance, in the garment's photo, between where two backward maps fetch a pixel from.

    Args:
        where: (H, W, 2) x and y in 0..1 of the garment's photo.
        truth: (H, W, 2) the known map.
        mask: (H, W), True where it counts: the worn garment.
        size: (height, width) of the garment's photo, px; the default leaves the error in its units of 0..1.

    Returns:
        Pixels of the garment's photo; NaN (undefined) for an empty mask.

    Raises:
        DataError: shapes differ.

    Example:
        >>> there = np.zeros((2, 2, 2))
        >>> end_point_error(there + [0.03, 0.04], there, np.ones((2, 2), bool), (100, 100))
        5.0
    """
    if where.shape != truth.shape or where.shape != (*mask.shape, 2):
        raise DataError(
            f"end-point error: expected two maps (H, W, 2) and a mask (H, W), got {where.shape}, {truth.shape} and "
            f"{mask.shape}"
        )
    gap = (where - truth)[mask] * [size[1], size[0]]
    return float(np.hypot(*gap.T).mean()) if len(gap) else math.nan
