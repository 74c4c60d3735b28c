"""How well the heat map of a sentence lies on the region that it names."""

from __future__ import annotations

from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError

Heat = NDArray[np.floating]


def pointing_game(heat: Heat, region: NDArray[np.bool_]) -> float:
    """1 if the maximum of the map lies in the region, else 0; tied maxima count by their share inside.

    Zhang et al. 2018, without their tolerance margin. NaN for an empty region. A constant map scores the region's
    share of the film, which is chance.

    Args:
        heat: (H, W).
        region: (H, W), True inside.

    Raises:
        DataError: shapes differ.

    Example:
        >>> pointing_game(np.array([[0.1, 0.9]]), np.array([[False, True]]))
        1.0
    """
    _require_same(heat, region)
    if not region.any():
        return nan
    return float(region[heat == heat.max()].mean())


def contrast_to_noise(heat: Heat, region: NDArray[np.bool_]) -> float:
    """(mean inside - mean outside) / sqrt(variance inside + variance outside); NaN where undefined.

    The ratio of BioViL (Boecking et al. 2022) with its sign: their absolute value rewards a map that is dark exactly
    where it should be bright. Undefined for an empty or full region and for a constant map.

    Example:
        >>> round(contrast_to_noise(np.array([[0.0, 1.0, 3.0, 4.0]]), np.array([[False, False, True, True]])), 3)
        4.243
    """
    _require_same(heat, region)
    inside, outside = heat[region], heat[~region]
    if not len(inside) or not len(outside):
        return nan
    spread = sqrt(float(inside.var()) + float(outside.var()))
    return float(inside.mean() - outside.mean()) / spread if spread > 0 else nan


def map_iou(heat: Heat, region: NDArray[np.bool_], threshold: float) -> float:
    """Intersection over union of the region and the part of the map that is at least `threshold`.

    Example:
        >>> map_iou(np.array([[0.1, 0.6, 0.9]]), np.array([[False, False, True]]), 0.5)
        0.5
    """
    _require_same(heat, region)
    bright = heat >= threshold
    union = (bright | region).sum()
    return float((bright & region).sum() / union) if union else nan


def _require_same(heat: Heat, region: NDArray[np.bool_]) -> None:
    if heat.shape != region.shape or heat.ndim != 2:
        raise DataError(f"expected a map and a region (H, W) of one shape, got {heat.shape} and {region.shape}")
