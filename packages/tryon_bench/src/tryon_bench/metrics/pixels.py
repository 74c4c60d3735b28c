"""PSNR and colour difference of image pairs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .images import check_pair


def psnr(pred_uint8: NDArray[np.uint8], ref_uint8: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio, 10 log10(255^2 / MSE) over all pixels and colours.

    Args:
        pred_uint8: (H, W, 3) uint8.
        ref_uint8: (H, W, 3) uint8.

    Returns:
        Decibels; infinity for equal images.

    Raises:
        DataError: other types, or shapes that differ.

    Example:
        >>> import numpy as np
        >>> black = np.zeros((4, 4, 3), np.uint8)
        >>> psnr(black + 255, black)
        0.0
    """
    check_pair(pred_uint8, ref_uint8)
    return decibels(float(squared_error(pred_uint8, ref_uint8).mean()))


def squared_error(pred_uint8: NDArray[np.uint8], ref_uint8: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Squared difference at every pixel, mean over the colours: (H, W) float64 in 0..255^2."""
    difference = pred_uint8.astype(np.float64) - ref_uint8
    return (difference * difference).mean(axis=2)


def decibels(mean_squared_error: float) -> float:
    """PSNR of a mean squared error at a data range of 255; infinity for 0."""
    return math.inf if mean_squared_error == 0 else 10 * math.log10(255**2 / mean_squared_error)


def colour_difference(pred_uint8: NDArray[np.uint8], ref_uint8: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIE 1976 colour difference (Euclidean in L*a*b*, D65) at every pixel.

    The 1976 form is a metric and cheap; about 2.3 is just noticeable. sRGB is assumed.

    Args:
        pred_uint8: (H, W, 3) uint8.
        ref_uint8: (H, W, 3) uint8.

    Returns:
        (H, W) float64, 0 for equal colours.

    Raises:
        DataError: other types, or shapes that differ.
    """
    check_pair(pred_uint8, ref_uint8)
    difference = lab(pred_uint8) - lab(ref_uint8)
    return np.sqrt((difference * difference).sum(axis=2))


def lab(image_uint8: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIE L*a*b* (D65, 2 degrees) of an sRGB image (IEC 61966-2-1).

    Args:
        image_uint8: (..., 3) uint8.

    Returns:
        (..., 3) float64; L* in 0..100.
    """
    xyz = _LINEAR[image_uint8] @ _TO_XYZ.T
    scaled = xyz / _WHITE
    cube = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(cube, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
