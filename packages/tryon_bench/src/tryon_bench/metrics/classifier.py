"""Inception score of a classifier's logits."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from .._shared.errors import DataError


class InceptionScore(NamedTuple):
    """Mean over the splits and their (population) standard deviation."""

    mean: float
    std: float


def inception_score(logits: NDArray[np.floating], splits: int = 10) -> InceptionScore:
    r"""\(\exp E_x KL(p(y|x)\,\|\,p(y))\) per split of consecutive rows, then mean and spread (Salimans et al. 2016).

    It looks at results only, never at a reference, and rewards a classifier's certainty about a thousand kinds of
    objects: report it for completeness, rank nothing by it.

    Args:
        logits: (n, classes), before the softmax.
        splits: number of parts; HR-VITON's script uses 1.

    Returns:
        Mean and standard deviation over the splits, between 1 and the number of classes.

    Raises:
        DataError: another shape, fewer rows than splits, or numbers that are not finite.

    Example:
        >>> import numpy as np
        >>> inception_score(np.zeros((4, 3)), splits=2)
        InceptionScore(mean=1.0, std=0.0)
    """
    if logits.ndim != 2 or splits < 1 or len(logits) < splits:
        raise DataError(
            f"inception_score: expected (n, classes) logits with n >= splits={splits}, got {logits.shape}"
        )
    if not np.isfinite(logits).all():
        raise DataError("inception_score: NaN or infinity among the logits; find the image that gave them")
    log_p = log_softmax(logits.astype(np.float64), axis=1)
    bounds = [len(logits) * i // splits for i in range(splits + 1)]
    scores = [_score(log_p[start:stop]) for start, stop in pairwise(bounds)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def _score(log_p: NDArray[np.float64]) -> float:
    p = np.exp(log_p)
    marginal = p.mean(axis=0)
    log_marginal = np.log(marginal, where=marginal > 0, out=np.zeros_like(marginal))
    return float(np.exp((p * (log_p - log_marginal)).sum(axis=1).mean()))
