"""Intervals of distribution distances, by leaving out groups of pairs.

The percentile bootstrap does not cover: drawing rows twice makes both sets look narrower than they are, and FID's bias
depends on n, so the resampled distances lie beside the one that is asked about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .._shared.errors import DataError
from ..metrics.features import check_features
from ..metrics.frechet import frechet_distance
from ..metrics.kernels import polynomial_kernel

Distance = Callable[[NDArray[np.float64], NDArray[np.float64]], float]
GROUPS = 20
_CORRECTED_UP_TO = 512


class Interval(NamedTuple):
    """An estimate, its interval, and what is being estimated; bounds are NaN where `undefined` says why."""

    estimate: float
    low: float
    high: float
    n: int
    estimand: str
    undefined: str = ""


def frechet_interval(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    groups: int = GROUPS,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of the Fréchet distance by the grouped jackknife.

    The estimand is E[FID_n], the expectation at this number of images, not the limit of many images: FID_n is
    unbiased for it, and the interval is FID_n -+ t s with the jackknife's standard error s. Row i of both sets is
    left out together, because both show one person.

    Args:
        x: (n, d) features of results.
        y: (n, d) features of photos in the same order; another length is allowed, then sides are left out apart.
        groups: number of groups; above 512 features each costs one distance and the interval is conservative,
            below, each pair of groups costs one and it is corrected (see `jackknife`).
        confidence: coverage aimed at.
        seed: of the assignment to groups.

    Raises:
        DataError: other shapes, or fewer rows than groups.
    """
    corrected = x.shape[1] <= _CORRECTED_UP_TO
    return jackknife(
        x, y, frechet_distance, "E[FID_n]", groups=groups, corrected=corrected, confidence=confidence, seed=seed
    )


def jackknife(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    distance: Distance,
    estimand: str,
    *,
    groups: int = GROUPS,
    corrected: bool = True,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Delete-a-group jackknife interval of any distance of two sets.

    The plain jackknife counts the part of the variance that comes from products of two groups twice. Efron and Stein
    (1981, section 5) estimate that part by leaving out two groups at a time and take it off, which takes parts of
    higher order off as well. Simulated Fréchet distances (32 features, 200 rows) were covered by 99.7 % of plain and
    90 % of fully corrected 95 % intervals; half of the correction is our choice.

    Args:
        x: (n, d).
        y: (m, d); with m = n, rows are pairs.
        distance: of two sets.
        estimand: what it estimates, in words.
        groups: number of groups.
        corrected: take off the excess, for groups (groups - 1) / 2 more distances; else the interval is conservative.
        confidence: coverage aimed at.
        seed: of the assignment to groups.

    Raises:
        DataError: other shapes, or fewer rows than groups.
    """
    first, second = check_features(x, y, at_least=groups)
    labels_x, labels_y = _labels(len(first), len(second), groups, seed)

    def without(*left_out: int) -> float:
        return distance(first[~np.isin(labels_x, left_out)], second[~np.isin(labels_y, left_out)])

    estimate = distance(first, second)
    single = np.array([without(g) for g in range(groups)])
    variance = (groups - 1) / groups * ((single - single.mean()) ** 2).sum()
    if corrected:
        pairs = list(combinations(range(groups), 2))
        interaction = np.array(
            [
                groups * estimate - (groups - 1) * (single[g] + single[h]) + (groups - 2) * without(g, h)
                for g, h in pairs
            ]
        )
        excess = ((interaction - interaction.mean()) ** 2).sum() / (groups * (groups - 1))
        variance -= min(excess, variance) / 2
    return _interval(estimate, math.sqrt(variance), len(first), estimand, groups - 1, confidence)


def kid_interval(x: NDArray[np.floating], y: NDArray[np.floating], *, confidence: float = 0.95) -> Interval:
    """Interval of the full U-statistic KID by the exact leave-one-pair-out jackknife, from kernel row sums.

    The estimand is E[KID_n]: with pairs of related images it differs from the squared MMD by a term in 1/n. O(n^2)
    memory.

    Args:
        x: (n, d) features of results.
        y: (n, d) features of photos in the same order.
        confidence: coverage aimed at.

    Raises:
        DataError: other shapes, different lengths, or fewer than 3 rows.
    """
    first, second = check_features(x, y, at_least=3)
    if len(first) != len(second):
        raise DataError(f"kid_interval: expected pairs, got {len(first)} and {len(second)} rows")
    n = len(first)
    kxx, kyy, kxy = (polynomial_kernel(*p) for p in ((first, first), (second, second), (first, second)))
    np.fill_diagonal(kxx, 0.0)
    np.fill_diagonal(kyy, 0.0)
    within, cross = kxx.sum() + kyy.sum(), kxy.sum()
    estimate = within / (n * (n - 1)) - 2 * cross / n**2
    own_within = 2 * (kxx.sum(1) + kyy.sum(1))
    own_cross = kxy.sum(1) + kxy.sum(0) - np.diag(kxy)
    left = (within - own_within) / ((n - 1) * (n - 2)) - 2 * (cross - own_cross) / (n - 1) ** 2
    error = math.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())
    return _interval(float(estimate), error, n, "E[KID_n]", n - 1, confidence)


class BiasCurve(NamedTuple):
    """Mean distance at several n, and the line in 1/n through them at n = infinity (Chong and Forsyth 2020)."""

    n: list[int]
    distance: list[float]
    extrapolated: float


def bias_curve(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    sizes: Sequence[int] | None = None,
    *,
    repeats: int = 3,
    seed: int = 0,
) -> BiasCurve:
    """How the Fréchet distance falls with n; the extrapolated value is a model's answer, not a measurement.

    Args:
        x: (n, d).
        y: (m, d).
        sizes: numbers of rows; by default eight, equally spaced in 1/n, from a quarter to all.
        repeats: random subsets per size.
        seed: of the subsets.

    Raises:
        DataError: other shapes, or fewer than 8 rows.
    """
    first, second = check_features(x, y, at_least=8)
    top = min(len(first), len(second))
    chosen = list(sizes) if sizes else sorted({round(1 / inverse) for inverse in np.linspace(4 / top, 1 / top, 8)})
    rng = np.random.Generator(np.random.Philox(seed))

    def mean(size: int) -> float:
        draws = [frechet_distance(_draw(first, size, rng), _draw(second, size, rng)) for _ in range(repeats)]
        return float(np.mean(draws))

    values = [mean(size) for size in chosen]
    _, intercept = np.polyfit(1 / np.asarray(chosen, dtype=np.float64), values, 1)
    return BiasCurve(chosen, values, float(intercept))


def _draw(rows: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rows[rng.choice(len(rows), size, replace=False)]


def _labels(n: int, m: int, groups: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rng = np.random.Generator(np.random.Philox(seed))
    first = rng.permutation(np.arange(n) % groups)
    return first, first if n == m else rng.permutation(np.arange(m) % groups)


def _interval(estimate: float, error: float, n: int, estimand: str, freedom: int, confidence: float) -> Interval:
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return Interval(estimate, estimate - reach, estimate + reach, n, estimand)
