"""Blending by Laplacian pyramids (Burt and Adelson 1983)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from ._shared.errors import DataError

_KERNEL = np.array([1, 4, 6, 4, 1]) / 16

Planes = NDArray[np.float64]


def blend_pyramids(
    front: NDArray[np.uint8], back: NDArray[np.uint8], mask: NDArray[np.bool_], levels: int
) -> NDArray[np.uint8]:
    """Mix two pictures band by band, every band with the mask smoothed to its scale.

    Args:
        front: (H, W, 3) uint8, seen inside the mask.
        back: (H, W, 3) uint8, seen outside.
        mask: (H, W), True inside.
        levels: halvings; 0 pastes.

    Returns:
        (H, W, 3) uint8. Away from the mask's border by a few times 2^levels px it is one of the two.

    Raises:
        DataError: sizes differ.

    Example:
        >>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        >>> bool((blend_pyramids(image, image, np.eye(4, dtype=bool), 2) == image).all())
        True
    """
    if front.shape != back.shape or mask.shape != front.shape[:2]:
        raise DataError(
            f"blend: expected two pictures and a mask of one size, got {front.shape}, {back.shape}, {mask.shape}"
        )
    share = mask[..., None].astype(np.float64)
    difference = front.astype(np.float64) - back  # the pyramid is linear: one pyramid of the difference will do
    return (back + _weighted(difference, share, levels)).round().clip(0, 255).astype(np.uint8)


def _weighted(difference: Planes, share: Planes, levels: int) -> Planes:
    """The difference, every band of it times the mask at its scale."""
    if levels == 0:
        return difference * share
    smaller = _reduced(difference)
    band = difference - _expanded(smaller, difference.shape)
    return band * share + _expanded(_weighted(smaller, _reduced(share), levels - 1), difference.shape)


def _smooth(planes: Planes, gain: float = 1.0) -> Planes:
    for axis in (0, 1):
        planes = correlate1d(planes, _KERNEL * gain, axis=axis, mode="mirror")
    return planes


def _reduced(planes: Planes) -> Planes:
    return _smooth(planes)[::2, ::2]


def _expanded(planes: Planes, shape: tuple[int, ...]) -> Planes:
    """Twice as large, by zeros between the pixels and twice the kernel in either direction."""
    larger = np.zeros((shape[0], shape[1], planes.shape[2]))
    larger[::2, ::2] = planes
    return _smooth(larger, gain=2)
