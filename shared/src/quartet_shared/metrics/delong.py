"""Area under the ROC curve with the variance of DeLong et al. 1988, for independent and for clustered cases."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import DataError

Floats = NDArray[np.float64]


class AurocVariance(NamedTuple):
    """AUROC and the variance of its estimate; both NaN where one class is absent."""

    auc: float
    variance: float


class AurocInterval(NamedTuple):
    """AUROC with its interval and what it rests on; `undefined` gives the reason for every NaN."""

    auc: float
    low: float
    high: float
    n_positive: int
    n_negative: int
    n_patients: int
    undefined: str = ""


class DelongTest(NamedTuple):
    """Paired comparison of two AUROCs on the same cases; `undefined` gives the reason for every NaN."""

    auc_a: float
    auc_b: float
    difference: float
    low: float
    high: float
    z: float
    p_value: float
    n_patients: int
    undefined: str = ""


def binary_case_arrays(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Labels (n,) as booleans and scores (..., n) as float64, checked.

    Raises:
        DataError: a label other than 0 and 1, a score that is not finite, or lengths that differ.
    """
    given, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if given.ndim != 1 or values.ndim < 1 or values.shape[-1] != len(given):
        raise DataError(
            f"expected labels (n,) and scores (..., n) of one length, got {given.shape}, {values.shape}"
        )
    if not np.isin(given, (0, 1)).all():
        raise DataError(
            f"expected labels 0 and 1, got {np.unique(given).tolist()[:5]}: leave unlabelled cases out"
        )
    if not np.isfinite(values).all():
        raise DataError(f"expected finite scores, got {int((~np.isfinite(values)).sum())} that are not")
    return given.astype(bool), values


def missing_class(positive: NDArray[np.bool_]) -> str:
    """Why nothing can be ranked: "no positive case", "no negative case" or "no case"; empty if both are there."""
    if not len(positive):
        return "no case"
    return "no negative case" if positive.all() else "" if positive.any() else "no positive case"


def delong(labels: ArrayLike, scores: ArrayLike, patient_ids: Sequence[Hashable] | None = None) -> AurocVariance:
    """AUROC by mid-ranks (Sun and Xu 2014) and its DeLong variance; clustered (Obuchowski 1997) with patient ids.

    With psi the Mann-Whitney kernel, V10 of a positive is the mean of psi over the negatives and V01 of a negative
    that over the positives: var = var(V10)/m + var(V01)/n. With clusters, sums of V10 - AUC and of V01 - AUC within
    a patient take the place of the single values, and their covariance enters; patients of one case each give
    exactly DeLong's value.

    Args:
        labels: (n,) 0 or 1.
        scores: (n,) finite, larger means more positive; ties count one half.
        patient_ids: the patient of each case; every case is one if None.

    Returns:
        AUROC in [0, 1] and variance; the variance is NaN with fewer than two patients of a class.

    Raises:
        DataError: labels, scores and ids do not belong together.

    Example:
        >>> delong([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        AurocVariance(auc=0.75, variance=0.125)
    """
    positive, values = binary_case_arrays(labels, scores)
    if missing_class(positive):
        return AurocVariance(math.nan, math.nan)
    aucs, covariance, _ = _covariance(positive, values[None], patient_ids)
    return AurocVariance(float(aucs[0]), float(covariance[0, 0]))


def auroc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    patient_ids: Sequence[Hashable] | None = None,
    *,
    confidence: float = 0.95,
) -> AurocInterval:
    """AUROC with the symmetric DeLong interval auc +- z sqrt(var), cut at 0 and 1 (as pROC does).

    Classes that are separated perfectly have variance 0; the interval is then undefined, not [1, 1].

    Raises:
        DataError: see `delong`.

    Example:
        >>> auroc_interval([1, 1], [0.3, 0.4]).undefined
        'no negative case'
    """
    positive, values = binary_case_arrays(labels, scores)
    m, n, patients = int(positive.sum()), int((~positive).sum()), _count(len(positive), patient_ids)
    if reason := missing_class(positive):
        return AurocInterval(math.nan, math.nan, math.nan, m, n, patients, reason)
    auc, variance = delong(labels, values, patient_ids)
    if not variance > 0:
        reason = "DeLong's variance is 0" if variance == 0 else "fewer than 2 patients of a class"
        return AurocInterval(auc, math.nan, math.nan, m, n, patients, reason)
    half = stats.norm.ppf((1 + confidence) / 2) * math.sqrt(variance)
    return AurocInterval(auc, max(0.0, float(auc - half)), min(1.0, float(auc + half)), m, n, patients)


def delong_test(
    labels: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    patient_ids: Sequence[Hashable] | None = None,
    *,
    confidence: float = 0.95,
) -> DelongTest:
    """Two-sided paired test of equal AUROC of two scores on the same cases (DeLong et al. 1988).

    Z = (auc_a - auc_b) / sqrt(var_a + var_b - 2 cov), with the clustered covariance where patients are given.

    Args:
        labels: (n,) 0 or 1.
        scores_a: (n,) scores of one method.
        scores_b: (n,) scores of the other, in the same order of cases.
        patient_ids: the patient of each case; every case is one if None.
        confidence: coverage of the interval of the difference.

    Raises:
        DataError: see `delong`.
    """
    positive, values = binary_case_arrays(labels, np.stack(_same_length(scores_a, scores_b)))
    n_patients = _count(len(positive), patient_ids)
    if reason := missing_class(positive):
        return _untested(math.nan, math.nan, n_patients, reason)
    aucs, covariance, _ = _covariance(positive, values, patient_ids)
    difference = float(aucs[0] - aucs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if not variance > 1e-15:  # equal rankings leave rounding only
        reason = "the variance of the difference is 0" if variance == variance else "fewer than 2 patients"
        return _untested(float(aucs[0]), float(aucs[1]), n_patients, reason)
    error = math.sqrt(variance)
    z, half = difference / error, float(stats.norm.ppf((1 + confidence) / 2)) * error
    p_value = float(2 * stats.norm.sf(abs(z)))
    return DelongTest(
        float(aucs[0]), float(aucs[1]), difference, difference - half, difference + half, z, p_value, n_patients
    )


def _untested(auc_a: float, auc_b: float, n_patients: int, reason: str) -> DelongTest:
    nan = math.nan
    return DelongTest(auc_a, auc_b, auc_a - auc_b, nan, nan, nan, nan, n_patients, reason)


def _covariance(
    positive: NDArray[np.bool_], scores: Floats, patient_ids: Sequence[Hashable] | None
) -> tuple[Floats, Floats, int]:
    """AUROCs (k,), their covariance (k, k) and the number of patients, for k scores (k, n)."""
    m, n = int(positive.sum()), int((~positive).sum())
    placement = np.stack([_placements(positive, row) for row in scores])  # V10 or V01 of each case
    aucs = placement[:, positive].mean(1)
    cluster, count = _clusters(len(positive), patient_ids)
    sums = [_cluster_sums(placement - aucs[:, None], chosen, cluster, count) for chosen in (positive, ~positive)]
    with np.errstate(invalid="ignore", divide="ignore"):
        own = [
            np.float64(groups) / (groups - 1) * (s @ s.T) / size**2
            for s, groups, size in zip(
                sums,
                (len(np.unique(cluster[positive])), len(np.unique(cluster[~positive]))),
                (m, n),
                strict=True,
            )
        ]
        between = np.float64(count) / (count - 1) * (sums[0] @ sums[1].T) / (m * n)
    return aucs, own[0] + own[1] + between + between.T, count


def _placements(positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """Share of the other class that a case is ranked on the right side of, ties one half."""
    ranks = stats.rankdata(scores)
    placed = np.empty(len(scores))
    for own in (positive, ~positive):
        below = (ranks[own] - stats.rankdata(scores[own])) / (~own).sum()
        placed[own] = below if own is positive else 1 - below
    return placed


def _cluster_sums(values: Floats, chosen: NDArray[np.bool_], cluster: NDArray[np.intp], count: int) -> Floats:
    return np.stack([np.bincount(cluster, np.where(chosen, row, 0.0), count) for row in values])


def _clusters(n: int, patient_ids: Sequence[Hashable] | None) -> tuple[NDArray[np.intp], int]:
    """Number of each case's patient, from 0, in order of first appearance; and how many there are."""
    if patient_ids is None:
        return np.arange(n), n
    if len(patient_ids) != n:
        raise DataError(f"expected one patient id per case, got {len(patient_ids)} ids for {n} cases")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(p, len(numbers)) for p in patient_ids], dtype=np.intp), len(numbers)


def _count(n: int, patient_ids: Sequence[Hashable] | None) -> int:
    return _clusters(n, patient_ids)[1]


def _same_length(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise DataError(f"paired scores: expected one length, got {first.shape} and {second.shape}")
    return first, second
