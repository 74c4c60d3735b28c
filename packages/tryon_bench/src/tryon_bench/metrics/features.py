"""The check that all distances of feature sets begin with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError


def check_features(
    x: NDArray[Any], y: NDArray[Any], *, at_least: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two (n, d) and (m, d) sets as float64.

    Args:
        x: one row per image.
        y: one row per image of the other set.
        at_least: fewest rows that the distance is defined for.

    Raises:
        DataError: other shapes, too few rows, or numbers that are not finite.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise DataError(f"features: expected (n, d) and (m, d), got {x.shape} and {y.shape}")
    if min(len(x), len(y)) < at_least:
        raise DataError(f"features: expected at least {at_least} images on each side, got {len(x)} and {len(y)}")
    sets = x.astype(np.float64), y.astype(np.float64)
    if not all(np.isfinite(rows).all() for rows in sets):
        raise DataError("features: NaN or infinity among them; find the image that gave them")
    return sets
