"""Kernel distances of two feature sets: KID and CMMD."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import ConfigError, DataError
from .features import check_features

CMMD_SIGMA = 10.0
CMMD_SCALE = 1000.0
_ROWS = 1024  # of a kernel matrix that are held at a time


def kid(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    subset_size: int | None = None,
    subsets: int = 100,
    seed: int = 0,
) -> float:
    """Kernel inception distance: unbiased squared MMD with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018).

    Without `subset_size` this is the full U-statistic over all pairs, which has no random numbers in it and less
    variance than the mean over random subsets that torch-fidelity, clean-fid and torchmetrics print.

    Args:
        x: (n, d) features.
        y: (m, d) features.
        subset_size: draw so many rows of each, without replacement.
        subsets: number of draws, whose mean is returned.
        seed: of the draws.

    Returns:
        The raw value; papers print it raw, times 100 or times 1000. Negative values are possible.

    Raises:
        ConfigError: no subset is to be drawn.
        DataError: other shapes, too few rows, or numbers that are not finite.

    Example:
        >>> import numpy as np
        >>> kid(np.array([[0.0], [0.0]]), np.array([[1.0], [1.0]]))
        7.0
    """
    first, second = check_features(x, y, at_least=2)
    if subset_size is None:
        return _unbiased_mmd(first, second)
    if not 2 <= subset_size <= min(len(first), len(second)):
        raise DataError(
            f"kid: subset_size {subset_size} must lie between 2 and the number of images, "
            f"{min(len(first), len(second))}"
        )
    if subsets < 1:
        raise ConfigError(f"kid: subsets {subsets}; expected 1 or more")
    rng = np.random.Generator(np.random.Philox(seed))
    draws = [
        (rng.choice(len(first), subset_size, replace=False), rng.choice(len(second), subset_size, replace=False))
        for _ in range(subsets)
    ]
    return float(np.mean([_unbiased_mmd(first[i], second[j]) for i, j in draws]))


def cmmd(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    sigma: float = CMMD_SIGMA,
    scale: float = CMMD_SCALE,
) -> float:
    """CLIP maximum mean discrepancy (Jayasumana et al. 2024): MMD^2 with exp(-|a-b|^2 / (2 sigma^2)), times a scale.

    The biased estimate, diagonals included, as published: it is never negative, and 0 for equal sets.

    Args:
        x: (n, d) image embeddings, as given; the published form takes CLIP embeddings of unit length.
        y: (m, d) image embeddings.
        sigma: width of the kernel, above 0.
        scale: factor of the result.

    Returns:
        Non-negative up to rounding.

    Raises:
        ConfigError: a sigma of 0 or less.
        DataError: other shapes, no rows, or numbers that are not finite.

    Example:
        >>> import numpy as np
        >>> cmmd(np.eye(3), np.eye(3))
        0.0
    """
    if not sigma > 0:
        raise ConfigError(f"cmmd: sigma {sigma}; expected a width above 0")
    first, second = check_features(x, y)

    def mean_kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        squares = (b * b).sum(1)
        total = 0.0
        for start in range(0, len(a), _ROWS):
            rows = a[start : start + _ROWS]
            distances = (rows * rows).sum(1)[:, None] + squares - 2 * rows @ b.T
            total += np.exp(-np.maximum(distances, 0) / (2 * sigma**2)).sum()
        return float(total) / (len(a) * len(b))

    return scale * (mean_kernel(first, first) + mean_kernel(second, second) - 2 * mean_kernel(first, second))


def polynomial_kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(a.b / d + 1)^3 of every row of (n, d) with every row of (m, d): (n, m)."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def _unbiased_mmd(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    n, m = len(x), len(y)
    within_x = (_kernel_sum(x, x) - _diagonal_sum(x)) / (n * (n - 1))
    within_y = (_kernel_sum(y, y) - _diagonal_sum(y)) / (m * (m - 1))
    return within_x + within_y - 2 * _kernel_sum(x, y) / (n * m)


def _diagonal_sum(x: NDArray[np.float64]) -> float:
    """Sum of the kernel of every row with itself."""
    return float((((x * x).sum(1) / x.shape[1] + 1) ** 3).sum())


def _kernel_sum(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return sum(float(polynomial_kernel(a[start : start + _ROWS], b).sum()) for start in range(0, len(a), _ROWS))
