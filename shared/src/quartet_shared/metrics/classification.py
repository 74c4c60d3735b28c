"""Metrics of a binary classifier with intervals; what a missing class leaves undefined is NaN with a reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import DataError
from .delong import binary_case_arrays, missing_class
from .statistics import PatientInterval, patient_bootstrap

Bins = Literal["width", "mass"]
Metric = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


class Proportion(NamedTuple):
    """A share of cases with its interval; NaN where there is no case."""

    value: float
    low: float
    high: float
    n: int


class OperatingPoint(NamedTuple):
    """A threshold (positive from there upwards) and what it does; `undefined` gives the reason for NaN."""

    threshold: float
    sensitivity: Proportion
    specificity: Proportion
    accuracy: Proportion
    ppv: Proportion
    npv: Proportion
    undefined: str = ""


class ReliabilityBin(NamedTuple):
    """Cases with alike probabilities: mean probability, and how often it was right."""

    mean_prob: float
    observed: Proportion


def proportion(
    successes: int, n: int, *, method: Literal["exact", "wilson"] = "exact", confidence: float = 0.95
) -> Proportion:
    """A share with its exact (Clopper and Pearson 1934) or Wilson (1927) interval; of independent cases.

    Example:
        >>> share = proportion(257, 307)
        >>> round(100 * share.low, 2), round(100 * share.high, 2)
        (79.1, 87.66)
    """
    if n == 0:
        return Proportion(math.nan, math.nan, math.nan, 0)
    interval = stats.binomtest(int(successes), int(n)).proportion_ci(confidence, method)
    return Proportion(successes / n, float(interval.low), float(interval.high), n)


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve, ties one half; NaN where one class is absent. `delong` has its variance.

    Example:
        >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    positive, values = binary_case_arrays(labels, scores)
    if missing_class(positive):
        return math.nan
    m, n = int(positive.sum()), int((~positive).sum())
    return float((stats.rankdata(values)[positive].sum() - m * (m + 1) / 2) / (m * n))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the precision-recall curve as a step function: sum (R_k - R_(k-1)) P_k; NaN where a class is absent.

    The value of scikit-learn's `average_precision_score`, without making it a dependency of every package.

    Example:
        >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
        0.8333
    """
    positive, values = binary_case_arrays(labels, scores)
    if missing_class(positive):
        return math.nan
    order = np.argsort(-values, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    hits = np.cumsum(positive[order])[last_of_tie]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (last_of_tie + 1)) / positive.sum())


def operating_point(labels: ArrayLike, scores: ArrayLike, threshold: float) -> OperatingPoint:
    """Sensitivity, specificity, accuracy and predictive values at a threshold, with exact intervals.

    A share without a denominator (no positive case, nothing called positive, ...) is NaN with n = 0.
    """
    positive, values = binary_case_arrays(labels, scores)
    called = values >= threshold
    right = called == positive

    def share(of: NDArray[np.bool_]) -> Proportion:
        return proportion(int(right[of].sum()), int(of.sum()))

    everyone = np.ones_like(positive)
    return OperatingPoint(
        float(threshold),
        sensitivity=share(positive),
        specificity=share(~positive),
        accuracy=share(everyone),
        ppv=share(called),
        npv=share(~called),
        undefined=missing_class(positive),
    )


def threshold_at(labels: ArrayLike, scores: ArrayLike, *, goal: str, at_least: float) -> float:
    """Best threshold at which the sensitivity or the specificity is at least a value; never merely near it.

    Args:
        labels: (n,) 0 or 1.
        scores: (n,).
        goal: "sensitivity" (the largest such threshold) or "specificity" (the smallest).
        at_least: in [0, 1].

    Returns:
        The threshold, which is one of the scores, or infinity if nothing may be called positive; NaN where the class
        that decides is absent.

    Raises:
        DataError: another goal.

    Example:
        >>> threshold_at([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], goal="sensitivity", at_least=0.9)
        0.35
    """
    positive, values = binary_case_arrays(labels, scores)
    if goal not in ("sensitivity", "specificity"):
        raise DataError(f"expected goal sensitivity or specificity, got {goal!r}")
    own = np.sort(values[positive if goal == "sensitivity" else ~positive])
    if not len(own):
        return math.nan
    allowed = math.floor((1 - at_least) * len(own) + 1e-9)  # cases that may be on the wrong side
    if goal == "sensitivity":
        return float(own[min(allowed, len(own) - 1)])
    if allowed >= len(own):
        return float(values.min())
    above = values[values > own[len(own) - 1 - allowed]]
    return float(above.min()) if len(above) else math.inf


def sensitivity_at_specificity(labels: ArrayLike, scores: ArrayLike, specificity: float = 0.9) -> OperatingPoint:
    """Operating point with the highest sensitivity whose specificity is at least this."""
    return operating_point(labels, scores, threshold_at(labels, scores, goal="specificity", at_least=specificity))


def specificity_at_sensitivity(labels: ArrayLike, scores: ArrayLike, sensitivity: float = 0.9) -> OperatingPoint:
    """Operating point with the highest specificity whose sensitivity is at least this."""
    return operating_point(labels, scores, threshold_at(labels, scores, goal="sensitivity", at_least=sensitivity))


def brier(labels: ArrayLike, probs: ArrayLike) -> float:
    """Mean squared difference of probability and label (Brier 1950), in [0, 1]; NaN without cases."""
    positive, values = _probabilities(labels, probs)
    return float(np.mean((values - positive) ** 2)) if len(values) else math.nan


def reliability(labels: ArrayLike, probs: ArrayLike, *, bins: int = 10, by: Bins = "mass") -> list[ReliabilityBin]:
    """Bins of a reliability plot, empty ones left out.

    Args:
        labels: (n,) 0 or 1.
        probs: (n,) in [0, 1].
        bins: number of bins wanted.
        by: "mass" (as many cases in each, ties together) or "width" (equal parts of [0, 1]).
    """
    positive, values = _probabilities(labels, probs)
    if not len(values):
        return []
    edges = np.linspace(0, 1, bins + 1)
    if by == "mass":
        edges = np.unique(np.quantile(values, edges))
    place = np.clip(np.searchsorted(edges, values, "right") - 1, 0, max(len(edges) - 2, 0))
    groups = [place == i for i in np.unique(place)]
    return [
        ReliabilityBin(float(values[g].mean()), proportion(int(positive[g].sum()), int(g.sum()))) for g in groups
    ]


def expected_calibration_error(labels: ArrayLike, probs: ArrayLike, *, bins: int = 10, by: Bins = "mass") -> float:
    """Mean |observed - predicted| over `reliability` bins, weighted by cases (Naeini et al. 2015); NaN without any.

    Example:
        >>> expected_calibration_error([0, 1], [0.0, 1.0])
        0.0
    """
    rows = reliability(labels, probs, bins=bins, by=by)
    total = sum(row.observed.n for row in rows)
    if not total:
        return math.nan
    return sum(row.observed.n * abs(row.observed.value - row.mean_prob) for row in rows) / total


def metric_interval(
    metric: Metric,
    labels: ArrayLike,
    scores: ArrayLike,
    patient_ids: Sequence[Hashable] | None = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> PatientInterval:
    """Patient-clustered bootstrap of any metric(labels, scores); resamples that lack a class are counted out.

    Example:
        >>> interval = metric_interval(auroc, [0, 1, 0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8, 0.6, 0.5], n_resamples=50)
        >>> round(interval.estimate, 3), interval.n_patients
        (0.889, 6)
    """
    positive, values = binary_case_arrays(labels, scores)
    rows = np.stack([positive.astype(np.float64), values], 1)
    return patient_bootstrap(
        rows,
        list(range(len(rows))) if patient_ids is None else patient_ids,
        statistic=lambda chosen: metric(chosen[:, 0], chosen[:, 1]),
        n_resamples=n_resamples,
        seed=seed,
        drop_undefined=True,
    )


def _probabilities(labels: ArrayLike, probs: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    positive, values = binary_case_arrays(labels, probs)
    if ((values < 0) | (values > 1)).any():
        raise DataError(f"expected probabilities in [0, 1], got {values.min():.4g} to {values.max():.4g}")
    return positive, values
