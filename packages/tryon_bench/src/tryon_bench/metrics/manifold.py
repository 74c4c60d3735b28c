"""Precision, recall, density and coverage of a feature set against a reference set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import ConfigError
from .features import check_features


class ManifoldScores(NamedTuple):
    """Precision, recall and coverage lie in [0, 1]; density is 1 on average for equal distributions."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(
    pred: NDArray[np.floating], ref: NDArray[np.floating], k: int = 5
) -> ManifoldScores:
    """k-nearest-neighbour manifold scores (Kynkäänniemi et al. 2019; Naeem et al. 2020). O(n m) time and memory.

    The ball around a feature reaches to its k-th nearest neighbour of the same set, itself not counted.

    Args:
        pred: (n, d) features of results.
        ref: (m, d) features of the reference photos.
        k: neighbours, 1 or more.

    Returns:
        precision: share of results inside any reference ball; recall: share of references inside any result ball;
        density: mean number of reference balls around a result, over k; coverage: share of references whose ball
        holds a result.

    Raises:
        ConfigError: no neighbour.
        DataError: other shapes, k or fewer rows, or numbers that are not finite.
    """
    if k < 1:
        raise ConfigError(f"precision and recall: k {k}; expected 1 neighbour or more")
    results, references = check_features(pred, ref, at_least=k + 1)
    ref_radius, pred_radius = _radii(references, k), _radii(results, k)
    distance = _distances(references, results)  # (m, n)
    inside_ref = distance < ref_radius[:, None]
    return ManifoldScores(
        precision=float(inside_ref.any(axis=0).mean()),
        recall=float((distance < pred_radius[None, :]).any(axis=1).mean()),
        density=float(inside_ref.sum(axis=0).mean() / k),
        coverage=float((distance.min(axis=1) < ref_radius).mean()),
    )


def _distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0))


def _radii(x: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    distance = _distances(x, x)
    np.fill_diagonal(distance, 0.0)  # rounding must not put another row before the row itself
    return np.partition(distance, k, axis=1)[:, k]
