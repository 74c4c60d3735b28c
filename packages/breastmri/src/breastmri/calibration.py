"""Scores -> probabilities that mean what they say, and thresholds with a promised sensitivity.

A margin loss is over-confident by construction: a case exactly on its margin gets sigma(s m), 0.96 for 16 / 0.2. So the
score itself is calibrated afterwards, on cases that were not trained on.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy import optimize, stats

from ._shared.config import FrozenModel
from ._shared.errors import DataError
from ._shared.metrics.classification import brier, expected_calibration_error
from ._shared.metrics.delong import binary_case_arrays, missing_class

CalibrationKind = Literal["platt", "isotonic", "beta"]
Floats = NDArray[np.float64]
_EDGE = 1e-6


class Calibrator(FrozenModel):
    """A monotone map from score to probability, as plain values that travel with the model.

    platt: sigma(a z + b) (Platt 1999, targets smoothed as he does). isotonic: piecewise linear through the knots of the
    pool-adjacent-violators fit. beta: sigma(a ln p - b ln(1 - p) + c) with p = sigma(z) (Kull et al. 2017).
    """

    kind: CalibrationKind
    parameters: tuple[float, ...] = Field((), description="a, b of platt; a, b, c of beta")
    knots: tuple[tuple[float, float], ...] = Field((), description="(score, probability) of isotonic, increasing")
    n: int = Field(0, ge=0, description="cases that it was fitted on")

    def __call__(self, scores: ArrayLike) -> Floats:
        """Probabilities (n,) in [0, 1] of scores (n,)."""
        z = np.asarray(scores, np.float64)
        if self.kind == "isotonic":
            x, y = np.array(self.knots).T
            return np.interp(z, x, y)
        if self.kind == "platt":
            a, b = self.parameters
            return _sigmoid(a * z + b)
        a, b, c = self.parameters
        return _sigmoid(a * _log_sigmoid(z) - b * _log_sigmoid(-z) + c)


def fit_calibrator(kind: CalibrationKind, labels: ArrayLike, scores: ArrayLike) -> Calibrator:
    """Fit on held-out cases.

    Args:
        kind: platt for few cases; isotonic from about a thousand.
        labels: (n,) 0 or 1.
        scores: (n,) scores of the model (cosines, or logits for a linear head).

    Raises:
        DataError: one class is absent, fewer than ten cases, or labels and scores do not belong together.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=2000)
        >>> fitted = fit_calibrator("platt", rng.random(2000) < 1 / (1 + np.exp(-2 * z)), z)
        >>> [round(v) for v in fitted.parameters]
        [2, 0]
    """
    positive, z = binary_case_arrays(labels, scores)
    if reason := missing_class(positive):
        raise DataError(f"calibration needs both classes, got {reason}")
    if len(z) < 10:
        raise DataError(f"calibration needs at least 10 held-out cases, got {len(z)}")
    if kind == "isotonic":
        return _isotonic(positive, z)
    if kind == "platt":
        design = np.stack([z, np.ones_like(z)], 1)
        m, n = positive.sum(), (~positive).sum()
        target = np.where(positive, (m + 1) / (m + 2), 1 / (n + 2))
        a, b = _logistic(design, target, [(0, None), (None, None)])
        return Calibrator(kind=kind, parameters=(a, b), n=len(z))
    design = np.stack([_log_sigmoid(z), -_log_sigmoid(-z), np.ones_like(z)], 1)
    a, b, c = _logistic(design, positive.astype(float), [(0, None), (0, None), (None, None)])
    return Calibrator(kind=kind, parameters=(a, b, c), n=len(z))


class CalibrationReport(NamedTuple):
    """Brier score and expected calibration error before and after."""

    brier_before: float
    brier_after: float
    ece_before: float
    ece_after: float
    n: int


def cross_fitted(
    kind: CalibrationKind,
    labels: ArrayLike,
    scores: ArrayLike,
    patient_ids: Sequence[Hashable],
    *,
    folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Probabilities of each case from a calibrator that has not seen its patient: what the report is made of.

    Raises:
        DataError: too few patients or cases of a class for the folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    positive, z = binary_case_arrays(labels, scores)
    groups = np.unique(np.asarray([str(p) for p in patient_ids]), return_inverse=True)[1]
    smallest = min(len(np.unique(groups[positive])), len(np.unique(groups[~positive])))
    if smallest < 2:
        raise DataError(f"cross-fitted calibration needs 2 patients of each class, got {smallest}")
    splitter = StratifiedGroupKFold(min(folds, smallest), shuffle=True, random_state=seed)
    probs = np.full(len(z), math.nan)
    for fit, held in splitter.split(z[:, None], positive, groups):
        probs[held] = fit_calibrator(kind, positive[fit], z[fit])(z[held])
    return probs


def calibration_report(labels: ArrayLike, before: ArrayLike, after: ArrayLike) -> CalibrationReport:
    """Compare two sets of probabilities of the same cases."""
    errors = [metric(labels, probs) for metric in (brier, expected_calibration_error) for probs in (before, after)]
    return CalibrationReport(errors[0], errors[1], errors[2], errors[3], len(np.asarray(labels)))


class SensitivityThreshold(NamedTuple):
    """A threshold whose sensitivity reaches the goal with the given confidence; NaN with a reason if none does."""

    threshold: float
    sensitivity: float
    lower_bound: float
    n_positive: int
    undefined: str = ""


def guaranteed_threshold(
    labels: ArrayLike, scores: ArrayLike, *, sensitivity: float = 0.9, confidence: float = 0.95
) -> SensitivityThreshold:
    """Largest threshold for which the one-sided exact lower bound of the sensitivity reaches the goal.

    With k of m positives below it, the bound is the Clopper-Pearson one, so m must be at least
    ln(1 - confidence) / ln(sensitivity): 29 positives for 90 % at 95 % confidence. It is a statement about cases drawn
    like these, for a threshold chosen on them; positives of one patient count as independent.

    Example:
        >>> guaranteed_threshold([1] * 28, list(range(28))).undefined
        '28 positives cannot show a sensitivity of 0.9 with confidence 0.95: at least 29 are needed'
    """
    positive, z = binary_case_arrays(labels, scores)
    own = np.sort(z[positive])
    m = len(own)
    misses = np.arange(m)
    bounds = stats.beta.ppf(1 - confidence, m - misses, misses + 1)
    allowed = misses[bounds >= sensitivity]
    if not len(allowed):
        needed = math.ceil(math.log(1 - confidence) / math.log(sensitivity))
        reason = (
            f"{m} positives cannot show a sensitivity of {sensitivity:g} with confidence {confidence:g}: "
            f"at least {needed} are needed"
        )
        return SensitivityThreshold(math.nan, math.nan, math.nan, m, reason)
    k = int(allowed[-1])
    threshold = float(own[k])
    below = int((own < threshold).sum())
    return SensitivityThreshold(threshold, 1 - below / m, float(bounds[below]), m)


def site_thresholds(
    labels: ArrayLike, scores: ArrayLike, sites: Sequence[str], **goal: float
) -> dict[str, SensitivityThreshold]:
    """`guaranteed_threshold` of each site, and of all under the name "all"."""
    positive, z = binary_case_arrays(labels, scores)
    found = {"all": guaranteed_threshold(positive, z, **goal)}
    for site in sorted(set(sites)):
        here = np.array([s == site for s in sites])
        found[site] = guaranteed_threshold(positive[here], z[here], **goal)
    return found


def _isotonic(positive: NDArray[np.bool_], z: Floats) -> Calibrator:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(z, positive)
    x, y = fitted.X_thresholds_, fitted.y_thresholds_
    return Calibrator(kind="isotonic", knots=tuple(zip(x.tolist(), y.tolist(), strict=True)), n=len(z))


def _logistic(design: Floats, target: Floats, bounds: list[Any]) -> tuple[float, ...]:
    """Maximum-likelihood logistic fit with bounds, so that a larger score never means a smaller probability."""

    def loss(w: Floats) -> tuple[float, Floats]:
        z = design @ w
        value = -np.mean(target * _log_sigmoid(z) + (1 - target) * _log_sigmoid(-z)) + _EDGE * (w @ w)
        return float(value), design.T @ (_sigmoid(z) - target) / len(z) + 2 * _EDGE * w

    start = np.append(np.ones(design.shape[1] - 1), 0.0)
    result = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000})
    return tuple(float(v) for v in result.x)


def _sigmoid(z: Floats) -> Floats:
    return np.exp(_log_sigmoid(z))


def _log_sigmoid(z: Floats) -> Floats:
    return -np.logaddexp(0.0, -z)
