"""Free-response ROC: lesions found against false marks per breast."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._shared.errors import DataError
from ._shared.metrics.statistics import PatientInterval, patient_bootstrap

RATES = (0.25, 0.5, 1.0, 2.0, 4.0)  # false marks per breast


class Marks(NamedTuple):
    """Candidates of one breast: their scores, which of them hit its lesion, and whether it has one."""

    scores: tuple[float, ...]
    hits: tuple[bool, ...]
    lesion: bool


class FrocPoint(NamedTuple):
    """Sensitivity at a rate of false marks, with its bootstrap interval over patients."""

    false_marks_per_breast: float
    sensitivity: PatientInterval


def froc(
    marks: Sequence[Marks],
    patient_ids: Sequence[Hashable],
    *,
    rates: Sequence[float] = RATES,
    n_resamples: int = 500,
    seed: int = 0,
) -> list[FrocPoint]:
    """Largest sensitivity at no more than each rate of false marks per breast.

    A lesion counts once, by its best hit; further hits of it are no false marks. Without a lesion the sensitivity is
    undefined (NaN).

    Raises:
        DataError: lengths differ.

    Example:
        >>> sure = Marks((0.9, 0.5), (True, False), True)
        >>> [point.sensitivity.estimate for point in froc([sure] * 3, [0, 1, 2], rates=[0.0, 1.0])]
        [1.0, 1.0]
    """
    if len(marks) != len(patient_ids):
        raise DataError(f"expected one patient id per breast, got {len(patient_ids)} for {len(marks)}")
    width = max((len(m.scores) for m in marks), default=0)
    table = np.full((len(marks), width + 2), -np.inf)
    for row, m in zip(table, marks, strict=True):
        wrong = [s for s, hit in zip(m.scores, m.hits, strict=True) if not hit]
        right = [s for s, hit in zip(m.scores, m.hits, strict=True) if hit]
        row[0] = float(m.lesion)
        row[1] = max(right, default=-np.inf)
        row[2 : 2 + len(wrong)] = wrong
    points = []
    for rate in rates:
        interval = patient_bootstrap(
            table,
            list(patient_ids),
            statistic=partial(_sensitivity, rate=rate),
            n_resamples=n_resamples,
            seed=seed,
            drop_undefined=True,
        )
        points.append(FrocPoint(float(rate), interval))
    return points


def _sensitivity(rows: NDArray[np.float64], rate: float) -> float:
    """Share of lesions hit above the lowest threshold at which false marks stay within the rate."""
    lesions = rows[:, 0] > 0
    if not lesions.any():
        return float("nan")
    wrong = np.sort(rows[:, 2:][np.isfinite(rows[:, 2:])])[::-1]
    allowed = int(np.floor(rate * len(rows) + 1e-9))
    best = rows[lesions, 1]
    found = np.isfinite(best)
    if allowed < len(wrong):
        found &= best > wrong[allowed]
    return float(found.mean())
