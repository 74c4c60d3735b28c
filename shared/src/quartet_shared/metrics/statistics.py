"""Intervals and tests whose unit is the patient, never the voxel, slice or image."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import DataError


class PatientInterval(NamedTuple):
    """An estimate with its interval; `low` and `high` are NaN where `undefined` gives a reason."""

    estimate: float
    low: float
    high: float
    n_patients: int
    undefined: str = ""
    dropped_resamples: int = 0


class PairedTest(NamedTuple):
    """Mean of a - b, its two-sided p-value, and what it rests on; `dropped` pairs had an undefined side."""

    difference: float
    p_value: float
    n_patients: int
    dropped: int
    exact: bool


def patient_bootstrap(
    values: ArrayLike,
    patient_ids: Sequence[Hashable],
    *,
    statistic: Callable[[NDArray[np.float64]], float] = np.mean,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    drop_undefined: bool = False,
) -> PatientInterval:
    """Percentile bootstrap interval over patients (Efron 1979): a drawn patient brings all of its rows.

    With few patients the interval is too narrow (percentile intervals of a mean cover less than they say); it is a
    statement about patients like these, not about other hospitals.

    Args:
        values: (n,) or (n, ...) numbers, one row per case; several rows may belong to one patient.
        patient_ids: the patient of each row.
        statistic: rows -> float; the mean by default.
        n_resamples: number of resamples.
        confidence: coverage aimed at, in (0, 1).
        seed: seed of the Philox generator; the same seed gives the same interval.
        drop_undefined: leave out and count resamples on which the statistic is NaN (an AUROC without one class);
            more than half of them still leave the interval undefined.

    Returns:
        The statistic of all rows with the interval; without rows everything is NaN.

    Raises:
        DataError: if the number of rows and of patient ids differ.

    Example:
        >>> patient_bootstrap([0.5, 0.5, 0.5], ["a", "b", "c"])
        PatientInterval(estimate=0.5, low=0.5, high=0.5, n_patients=3, undefined='', dropped_resamples=0)
    """
    array = np.asarray(values, dtype=np.float64)
    rows = _rows_of_patients(len(array), patient_ids)
    if not rows:
        return PatientInterval(math.nan, math.nan, math.nan, 0, "no defined value")
    estimate = float(statistic(array))
    if len(rows) < 2:
        return PatientInterval(estimate, math.nan, math.nan, 1, "fewer than 2 patients")
    rng = np.random.Generator(np.random.Philox(seed))
    draws = rng.integers(len(rows), size=(n_resamples, len(rows)))
    resampled = np.array(
        [statistic(array[np.concatenate([rows[patient] for patient in draw])]) for draw in draws], dtype=np.float64
    )
    dropped = int(np.isnan(resampled).sum())
    if drop_undefined and dropped <= n_resamples // 2:
        resampled = resampled[~np.isnan(resampled)]
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    reason = "" if np.isfinite([low, high]).all() else "the statistic is undefined on some resamples"
    return PatientInterval(estimate, float(low), float(high), len(rows), reason, dropped)


def paired_permutation_test(
    a: ArrayLike,
    b: ArrayLike,
    patient_ids: Sequence[Hashable] | None = None,
    *,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> PairedTest:
    """Two-sided paired permutation test of mean(a - b) = 0: a and b are swapped patient by patient.

    All 2^n swaps of n patients are tried if these are at most `n_permutations` (the p-value is exact), else random
    ones, with one added to both counts so that p is never 0 (Phipson and Smyth 2010). With n patients no p-value
    can be below 2 / 2^n: six or more are needed for p < 0.05. Pairs with an undefined (NaN) side are dropped and
    counted; a method can profit from that, so compare distances under the "worst" policy of `segmentation`.

    Args:
        a: (n,) scores of one method, one per case.
        b: (n,) scores of the other method on the same cases in the same order.
        patient_ids: the patient of each case; each case is a patient if None.
        n_permutations: number of swaps to try.
        seed: seed of the Philox generator, used where the test is not exact.

    Returns:
        Difference and p-value; both NaN if no pair is defined.

    Raises:
        DataError: if the lengths differ.

    Example:
        >>> paired_permutation_test([0.75, 1.0, 0.5], [0.5, 0.5, 0.25])
        PairedTest(difference=0.3333333333333333, p_value=0.25, n_patients=3, dropped=0, exact=True)
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise DataError(
            f"paired scores: expected two lists of one length, got shapes {first.shape}, {second.shape}"
        )
    ids = list(range(len(first))) if patient_ids is None else patient_ids
    if len(ids) != len(first):
        raise DataError(f"expected one patient id per row, got {len(ids)} ids for {len(first)} rows")
    kept = np.flatnonzero(~np.isnan(first - second))
    dropped = len(first) - len(kept)
    rows = [kept[group] for group in _rows_of_patients(len(kept), [ids[int(i)] for i in kept])]
    if not rows:
        return PairedTest(math.nan, math.nan, 0, dropped, True)
    sums = [np.array([scores[group].sum() for group in rows]) for scores in (first, second)]
    exact = 2 ** len(rows) <= n_permutations
    if len(rows) == 1:  # both swaps are as extreme as each other; scipy wants two observations
        return PairedTest(float(sums[0][0] - sums[1][0]) / len(kept), 1.0, 1, dropped, True)
    result = stats.permutation_test(
        sums,
        lambda x, y, axis: (x - y).sum(axis=axis) / len(kept),
        permutation_type="samples",
        n_resamples=n_permutations,
        rng=np.random.Generator(np.random.Philox(seed)),
    )
    return PairedTest(float(result.statistic), float(result.pvalue), len(rows), dropped, exact)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values for several tests (Holm 1979): p_(i) -> max over j <= i of min(1, (m - j + 1) p_(j)).

    Args:
        p_values: (m,) p-values in [0, 1]; NaN marks a test that could not be made and is not counted in m.

    Returns:
        (m,) adjusted p-values in the order given, NaN where NaN was given.

    Raises:
        DataError: if a value is outside [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    made = np.flatnonzero(~np.isnan(given))
    if ((given[made] < 0) | (given[made] > 1)).any():
        raise DataError(f"p-values: expected numbers in [0, 1], got {given.tolist()}")
    order = made[np.argsort(given[made], kind="stable")]
    adjusted = np.full(given.shape, math.nan)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, given[order] * np.arange(len(order), 0, -1)))
    return adjusted


def _rows_of_patients(n_rows: int, patient_ids: Sequence[Hashable]) -> list[NDArray[np.intp]]:
    """Row numbers of each patient, patients in order of first appearance (so that hashing cannot matter)."""
    if len(patient_ids) != n_rows:
        raise DataError(f"expected one patient id per row, got {len(patient_ids)} ids for {n_rows} rows")
    rows: dict[Hashable, list[int]] = {}
    for row, patient in enumerate(patient_ids):
        rows.setdefault(patient, []).append(row)
    return [np.array(group) for group in rows.values()]
