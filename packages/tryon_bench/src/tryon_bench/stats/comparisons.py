"""Comparisons of methods on the same pairs: paired tests, rank stability, critical differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .._shared.errors import DataError
from .._shared.metrics.statistics import holm, paired_permutation_test

N_RESAMPLES = 2000


@dataclass(frozen=True)
class Comparison:
    """One pair of methods on one metric.

    Attributes:
        first: method.
        second: method.
        difference: mean of first - second over pairs that both define.
        low: bound of the 95 % interval (paired bootstrap).
        high: the other bound.
        p_value: two-sided paired permutation test.
        p_holm: adjusted for all comparisons of the table.
        n: pairs.
        better: the method that wins; "" where the difference is 0 or undefined.
        stability: share of resamples of the pairs in which it wins too.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float
    n: int
    better: str
    stability: float

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


def compare_methods(
    scores: Mapping[str, Mapping[str, float]], *, higher_is_better: bool, seed: int = 0
) -> list[Comparison]:
    """Every two methods against each other, p-values adjusted by Holm's method.

    Args:
        scores: method -> pair id -> score, NaN where undefined.
        higher_is_better: the metric's direction.
        seed: of resamples and permutations.

    Raises:
        DataError: fewer than two methods, or no pair in common.
    """
    if len(scores) < 2:
        raise DataError(f"compare: expected at least two methods, got {', '.join(scores) or 'none'}")
    rows = [_compare(a, b, scores[a], scores[b], higher_is_better, seed) for a, b in combinations(scores, 2)]
    adjusted = holm([row.p_value for row in rows])
    return [Comparison(**{**row.to_json(), "p_holm": float(p)}) for row, p in zip(rows, adjusted, strict=True)]


def _compare(
    first: str, second: str, a: Mapping[str, float], b: Mapping[str, float], higher: bool, seed: int
) -> Comparison:
    common = [pair for pair in a if pair in b]
    if not common:
        raise DataError(f"compare: {first} and {second} have no pair in common; evaluate them on one pair list")
    x, y = np.array([a[pair] for pair in common]), np.array([b[pair] for pair in common])
    test = paired_permutation_test(x, y, seed=seed)
    difference = (x - y)[np.isfinite(x - y)]
    resampled = _resampled_means(difference, seed)
    low, high = np.quantile(resampled, [0.025, 0.975]) if len(difference) > 1 else (math.nan, math.nan)
    mean = float(difference.mean()) if len(difference) else math.nan
    ahead = mean if higher else -mean
    better = "" if math.isnan(mean) or mean == 0 else first if ahead > 0 else second
    stability = float((np.sign(resampled) == np.sign(mean)).mean()) if better else math.nan
    return Comparison(
        first, second, mean, float(low), float(high), test.p_value, math.nan, len(difference), better, stability
    )


def _resampled_means(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    rng = np.random.Generator(np.random.Philox(seed))
    if not len(values):
        return np.full(1, math.nan)
    return np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(N_RESAMPLES)])


@dataclass(frozen=True)
class Ranks:
    """Average ranks over pairs and how large a difference of them must be (Demsar 2006).

    Attributes:
        average: method -> mean rank over pairs, 1 is best; ties share ranks.
        critical_difference: Nemenyi's, at 5 %; NaN for fewer than two pairs.
        friedman_p: p-value of "all methods rank alike".
        n: pairs that all methods define.
        probabilities: method -> probability of each place by mean score over resampled pairs, best place first.
    """

    average: dict[str, float]
    critical_difference: float
    friedman_p: float
    n: int
    probabilities: dict[str, list[float]]

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


def rank_methods(scores: Mapping[str, Mapping[str, float]], *, higher_is_better: bool, seed: int = 0) -> Ranks:
    """Rank methods pair by pair, and by their means over resampled pairs.

    Args:
        scores: method -> pair id -> score, NaN where undefined.
        higher_is_better: the metric's direction.
        seed: of the resamples.

    Raises:
        DataError: fewer than two methods, or no pair that all define.
    """
    methods = list(scores)
    if len(methods) < 2:
        raise DataError(f"rank: expected at least two methods, got {', '.join(methods) or 'none'}")
    pairs = [
        pair for pair in scores[methods[0]] if all(np.isfinite(scores[m].get(pair, math.nan)) for m in methods)
    ]
    if not pairs:
        raise DataError("rank: no pair is defined for all methods; evaluate them on one pair list")
    table = np.array([[scores[method][pair] for method in methods] for pair in pairs])
    costs = -table if higher_is_better else table
    ranks = stats.rankdata(costs, axis=1)
    k, n = len(methods), len(pairs)
    q = float(stats.studentized_range.ppf(0.95, k, np.inf)) / math.sqrt(2)
    critical = q * math.sqrt(k * (k + 1) / (6 * n)) if n > 1 else math.nan
    friedman = float(stats.friedmanchisquare(*costs.T).pvalue) if k > 2 and n > 1 else math.nan
    return Ranks(
        average={method: float(rank) for method, rank in zip(methods, ranks.mean(axis=0), strict=True)},
        critical_difference=critical,
        friedman_p=friedman,
        n=n,
        probabilities=_place_probabilities(methods, costs, seed),
    )


def _place_probabilities(methods: list[str], costs: NDArray[np.float64], seed: int) -> dict[str, list[float]]:
    rng = np.random.Generator(np.random.Philox(seed))
    n, k = costs.shape
    means = np.array([costs[rng.integers(n, size=n)].mean(axis=0) for _ in range(N_RESAMPLES)])
    places = np.argsort(np.argsort(means, axis=1, kind="stable"), axis=1, kind="stable")
    counts = [[float((places[:, column] == place).mean()) for place in range(k)] for column in range(k)]
    return dict(zip(methods, counts, strict=True))
