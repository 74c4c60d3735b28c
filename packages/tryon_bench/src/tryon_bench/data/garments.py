"""Shop photos: a garment on white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

_WHITE = 240  # what is darker in any channel is garment


def mask_on_white(garment: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a shop photo is not white, holes filled.

    Args:
        garment: (h, w, 3) uint8.

    Returns:
        (h, w) bool.
    """
    return np.asarray(binary_fill_holes((garment < _WHITE).any(axis=2)))
