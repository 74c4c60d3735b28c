"""Fréchet distance of two feature sets without a matrix square root."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from .features import check_features
from .moments import Moments


def frechet_distance(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    r"""Squared Fréchet distance of Gaussians fitted to two feature sets (Heusel et al. 2017).

    \(|\mu_x-\mu_y|^2 + \mathrm{Tr}\,\Sigma_x + \mathrm{Tr}\,\Sigma_y - 2\,\mathrm{Tr}(\Sigma_x^{1/2}\Sigma_y
    \Sigma_x^{1/2})^{1/2}\) with unbiased covariances. The last trace is the nuclear norm of \(X_c Y_c^T\) over
    \(\sqrt{(n_x-1)(n_y-1)}\), so no square root of a matrix is taken: it fails on singular covariances (fewer
    samples than features), where scipy returned complex values (clean-fid issue 53).

    Args:
        x: (n, d) features.
        y: (m, d) features.

    Returns:
        The distance, float64; it is biased upwards for small n and m, never compare different n.

    Raises:
        DataError: other shapes, fewer than two rows, or numbers that are not finite.

    Example:
        >>> import numpy as np
        >>> frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
        9.0
    """
    first, second = check_features(x, y, at_least=2)
    n, m, d = len(first), len(second), first.shape[1]
    if max(n, m) > 2 * d:  # the covariances are the smaller matrices
        of_x, of_y = Moments.of(first), Moments.of(second)
        return frechet_from_moments(of_x.mean, of_x.covariance, of_y.mean, of_y.covariance)
    centred_x, centred_y = first - first.mean(0), second - second.mean(0)
    shift = first.mean(0) - second.mean(0)
    traces = (centred_x**2).sum() / (n - 1) + (centred_y**2).sum() / (m - 1)
    cross = nuclear_norm(centred_x @ centred_y.T) / math.sqrt((n - 1) * (m - 1))
    return float(max(shift @ shift + traces - 2 * cross, 0.0))


def frechet_from_moments(
    mean_x: NDArray[np.float64],
    covariance_x: NDArray[np.float64],
    mean_y: NDArray[np.float64],
    covariance_y: NDArray[np.float64],
) -> float:
    """The same distance from means and covariances, which is what a stream of images leaves.

    Args:
        mean_x: (d,).
        covariance_x: (d, d), symmetric, positive semidefinite up to rounding.
        mean_y: (d,).
        covariance_y: (d, d).

    Returns:
        The distance, float64.
    """
    root_x, root_y = _factor(covariance_x), _factor(covariance_y)
    shift = mean_x - mean_y
    cross = nuclear_norm(root_x.T @ root_y)
    return float(max(shift @ shift + np.trace(covariance_x) + np.trace(covariance_y) - 2 * cross, 0.0))


def nuclear_norm(matrix: NDArray[np.float64]) -> float:
    """Sum of the singular values."""
    return float(linalg.svdvals(matrix, overwrite_a=True, check_finite=False).sum())


def _factor(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    """F with F F^T = the matrix: the nuclear norm of F_x^T F_y does not depend on which F is taken."""
    values, vectors = linalg.eigh(symmetric)
    return vectors * np.sqrt(np.clip(values, 0.0, None))
