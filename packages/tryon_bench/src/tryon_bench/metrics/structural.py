"""SSIM in the variants that try-on papers use, and MS-SSIM: uint8 images in, numbers or maps out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from .._shared.errors import ConfigError
from .images import check_pair, luma

SSIMVariant = Literal[
    "rgb_gaussian_valid",
    "rgb_gaussian_reflect",
    "rgb_gaussian_zero",
    "gray_gaussian",
    "gray_uniform7",
    "rgb_uniform7",
]
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# the coarsest of five scales must hold the whole window of 11, or may mirror up to half of it
_MS_SIDE_PX = {"valid": 11 * 16, "reflect": 161}


@dataclass(frozen=True)
class _Window:
    """A separable window: its 1-D weights, what lies outside the image, and which covariance is meant."""

    kernel: NDArray[np.float64]
    border: Literal["valid", "mirror", "zero"] = "valid"
    sample_covariance: bool = False
    gray: bool = False

    @property
    def radius(self) -> int:
        return len(self.kernel) // 2


def _gaussian(sigma: float = 1.5, radius: int = 5) -> NDArray[np.float64]:
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


_UNIFORM = np.full(7, 1 / 7)
_WINDOWS: dict[str, _Window] = {
    "rgb_gaussian_valid": _Window(_gaussian()),
    "rgb_gaussian_reflect": _Window(_gaussian(), border="mirror"),
    "rgb_gaussian_zero": _Window(_gaussian(), border="zero"),
    "gray_gaussian": _Window(_gaussian(), gray=True),
    "gray_uniform7": _Window(_UNIFORM, sample_covariance=True, gray=True),
    "rgb_uniform7": _Window(_UNIFORM, sample_covariance=True),
}
SSIM_VARIANTS = tuple(_WINDOWS)


def ssim(
    pred_uint8: NDArray[np.uint8], ref_uint8: NDArray[np.uint8], variant: SSIMVariant = "rgb_gaussian_valid"
) -> float:
    """Mean structural similarity (Wang et al. 2004) of two images.

    | variant | colours | window | border | covariance | found in |
    |---|---|---|---|---|---|
    | rgb_gaussian_valid | RGB | Gaussian 11, sigma 1.5 | cropped | population | torchmetrics up to 1.4 (LaDI-VTON) |
    | rgb_gaussian_reflect | RGB | Gaussian 11 | mirrored, counted | population | torchmetrics from 1.5 |
    | rgb_gaussian_zero | RGB | Gaussian 11 | zeros, counted | population | pytorch-ssim (SDAFN) |
    | gray_gaussian | ITU-R 601 luma | Gaussian 11 | cropped | population | HR-VITON's script |
    | gray_uniform7 | luma | mean of 7 x 7 | cropped | sample | scikit-image's default on gray |
    | rgb_uniform7 | RGB | mean of 7 x 7 | cropped | sample | scikit-image's default on colour |

    Args:
        pred_uint8: (H, W, 3) uint8.
        ref_uint8: (H, W, 3) uint8.
        variant: see the table; the data range is 255.

    Returns:
        In [-1, 1]; 1 for equal images.

    Raises:
        ConfigError: an unknown variant.
        DataError: other types, shapes that differ, or a side shorter than the window.

    Example:
        >>> import numpy as np
        >>> image = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
        >>> ssim(image, image, variant="gray_uniform7")
        1.0
    """
    return float(ssim_map(pred_uint8, ref_uint8, variant).mean())


def ssim_map(
    pred_uint8: NDArray[np.uint8], ref_uint8: NDArray[np.uint8], variant: SSIMVariant = "rgb_gaussian_valid"
) -> NDArray[np.float64]:
    """Structural similarity at every position, mean over the colours.

    Args:
        pred_uint8: (H, W, 3) uint8.
        ref_uint8: (H, W, 3) uint8.
        variant: as in `ssim`.

    Returns:
        (H, W) float64, or (H - 2r, W - 2r) for a cropped border with a window of radius r (`window_radius`).

    Raises:
        ConfigError, DataError: as `ssim`.
    """
    if variant not in _WINDOWS:
        raise ConfigError(f"ssim: variant {variant!r}; expected one of {', '.join(SSIM_VARIANTS)}")
    window = _WINDOWS[variant]
    check_pair(pred_uint8, ref_uint8, at_least=len(window.kernel), metric=f"ssim {variant}")
    if window.gray:
        planes = luma(pred_uint8)[None], luma(ref_uint8)[None]
    else:
        planes = np.moveaxis(pred_uint8, 2, 0), np.moveaxis(ref_uint8, 2, 0)
    luminance, contrast = _terms(planes[0], planes[1], window)
    return (luminance * contrast).mean(axis=0)


def window_radius(variant: SSIMVariant) -> int:
    """Pixels from the centre of a variant's window to its edge, and so the width of a cropped border."""
    return _WINDOWS[variant].radius


def border_of(variant: SSIMVariant) -> int:
    """Pixels that `ssim_map` cuts off each side: the window's radius, or 0 where the border is counted."""
    return _WINDOWS[variant].radius if _WINDOWS[variant].border == "valid" else 0


def ms_ssim(
    pred_uint8: NDArray[np.uint8],
    ref_uint8: NDArray[np.uint8],
    border: Literal["valid", "reflect"] = "valid",
) -> float:
    """Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003), five scales, RGB, Gaussian 11.

    The product over scales of mean contrast terms, each to its published weight, and of the mean similarity of the
    coarsest scale; 2 x 2 means between scales. Negative terms count as 0.

    Args:
        pred_uint8: (H, W, 3) uint8, both sides at least 176 px ("valid": the window fits the coarsest scale), or
            161 px ("reflect").
        ref_uint8: (H, W, 3) uint8.
        border: "valid" drops the border at every scale, as published; "reflect" counts the mirrored border of the
            coarsest scale, as torchmetrics from 1.5 does.

    Returns:
        In [0, 1]; the mean over colours is taken inside each scale.

    Raises:
        ConfigError: an unknown border.
        DataError: other types, shapes that differ, or a side that is too short.
    """
    if border not in _MS_SIDE_PX:
        raise ConfigError(f"ms_ssim: border {border!r}; expected one of {', '.join(_MS_SIDE_PX)}")
    check_pair(pred_uint8, ref_uint8, at_least=_MS_SIDE_PX[border], metric="ms_ssim")
    first = np.moveaxis(pred_uint8, 2, 0).astype(np.float64)
    second = np.moveaxis(ref_uint8, 2, 0).astype(np.float64)
    product = 1.0
    for scale, weight in enumerate(_MS_WEIGHTS):
        last = scale == len(_MS_WEIGHTS) - 1
        window = _WINDOWS[f"rgb_gaussian_{border}" if last else "rgb_gaussian_valid"]
        luminance, contrast = _terms(first, second, window)
        term = (luminance * contrast).mean() if last else contrast.mean()
        product *= max(float(term), 0.0) ** weight
        first, second = _halved(first), _halved(second)
    return product


def _terms(
    first: NDArray[np.uint8] | NDArray[np.float64],
    second: NDArray[np.uint8] | NDArray[np.float64],
    window: _Window,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Luminance and contrast-structure terms of (C, H, W) planes.

    Only the sum of both variances enters the formula, so four planes are filtered instead of five. The planes are
    shifted by mid-gray first: the variance is a difference of squares, and smaller squares leave more digits.
    """
    # zeros outside the image are zeros of the unshifted image
    shift = 0.0 if window.border == "zero" else 128.0
    x, y = first.astype(np.float64) - shift, second.astype(np.float64) - shift
    mean_x, mean_y = _filtered(x, window), _filtered(y, window)
    square_sum, product = _filtered(x * x + y * y, window), _filtered(x * y, window)
    taps = window.kernel.size**2
    norm = taps / (taps - 1) if window.sample_covariance else 1.0
    mean_product, mean_squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    contrast = (2 * norm * (product - mean_product) + _C2) / (norm * (square_sum - mean_squares) + _C2)
    if shift:
        mean_squares += 2 * shift * (mean_x + mean_y) + 2 * shift**2
        mean_product += shift * (mean_x + mean_y) + shift**2
    return (2 * mean_product + _C1) / (mean_squares + _C1), contrast


def _filtered(planes: NDArray[np.float64], window: _Window) -> NDArray[np.float64]:
    mode = {"valid": "nearest", "mirror": "mirror", "zero": "constant"}[window.border]
    rows = correlate1d(planes, window.kernel, axis=2, mode=mode)
    if window.border == "valid":  # before the second pass, which then has less to do
        rows = rows[:, :, window.radius : -window.radius]
    both = correlate1d(rows, window.kernel, axis=1, mode=mode)
    return both[:, window.radius : -window.radius] if window.border == "valid" else both


def _halved(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = planes.shape[1] // 2 * 2, planes.shape[2] // 2 * 2
    even = planes[:, :height, :width]
    return (even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / 4
