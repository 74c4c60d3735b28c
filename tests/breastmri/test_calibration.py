"""Calibration maps, their fit, and thresholds with a promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from breastmri._shared.errors import DataError
from breastmri._shared.metrics.classification import expected_calibration_error
from breastmri.calibration import (
    Calibrator,
    calibration_report,
    cross_fitted,
    fit_calibrator,
    guaranteed_threshold,
    site_thresholds,
)

KINDS = ["platt", "isotonic", "beta"]


def overconfident(n=4000, seed=0):
    """Cosines whose true log odds are 4 c, while a margin loss of scale 16 says 16 c."""
    rng = np.random.default_rng(seed)
    cosines = rng.uniform(-1, 1, n)
    return rng.random(n) < 1 / (1 + np.exp(-4 * cosines)), cosines


@pytest.mark.parametrize("kind", KINDS)
def test_an_overconfident_cosine_is_repaired_on_new_cases(kind):
    calibrator = fit_calibrator(kind, *overconfident())
    labels, cosines = overconfident(seed=1)
    before = 1 / (1 + np.exp(-16 * cosines))
    after = calibrator(cosines)
    report = calibration_report(labels, before, after)
    assert report.ece_before > 0.1
    assert report.ece_after < 0.03
    assert report.brier_after < report.brier_before


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_score_never_means_a_smaller_probability(kind):
    rng = np.random.default_rng(3)
    labels, scores = rng.integers(0, 2, 40), rng.normal(size=40)
    calibrator = fit_calibrator(kind, labels, scores)
    probs = calibrator(np.linspace(-5, 5, 500))
    assert (np.diff(probs) >= -1e-12).all()
    assert 0 <= probs.min() <= probs.max() <= 1


def test_platt_is_a_logistic_fit_with_smoothed_targets():
    from sklearn.calibration import _SigmoidCalibration

    labels, scores = overconfident(500)
    theirs = _SigmoidCalibration().fit(scores, labels)
    a, b = fit_calibrator("platt", labels, scores).parameters
    assert (a, b) == pytest.approx((-theirs.a_, -theirs.b_), rel=5e-3, abs=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibrator_survives_json(kind):
    calibrator = fit_calibrator(kind, *overconfident(200))
    again = Calibrator.model_validate_json(calibrator.model_dump_json())
    z = np.linspace(-1, 1, 50)
    np.testing.assert_array_equal(again(z), calibrator(z))


def test_cross_fitted_probabilities_come_from_other_patients():
    # Labels that depend on nothing: a calibrator that had seen its own cases would look better than chance.
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 60), rng.normal(size=60)
    patients = np.repeat(np.arange(20), 3).tolist()
    held = cross_fitted("isotonic", labels, scores, patients)
    own = fit_calibrator("isotonic", labels, scores)(scores)
    assert np.isfinite(held).all()
    assert np.mean((own - labels) ** 2) < 0.25 < np.mean((held - labels) ** 2)


def test_calibration_of_too_little_is_refused():
    with pytest.raises(DataError, match="needs both classes, got no positive case"):
        fit_calibrator("platt", [0] * 20, np.arange(20))
    with pytest.raises(DataError, match="at least 10 held-out cases, got 4"):
        fit_calibrator("platt", [0, 1, 0, 1], [1, 2, 3, 4])
    with pytest.raises(DataError, match="2 patients of each class, got 1"):
        cross_fitted("platt", [1] * 10 + [0] * 10, np.arange(20), ["a"] * 10 + [*range(10)])


@settings(max_examples=40, deadline=None)
@given(st.integers(29, 120), st.sampled_from([0.8, 0.9]), st.integers(0, 1000))
def test_promised_threshold_is_the_largest_whose_exact_bound_reaches_the_goal(m, goal, seed):
    scores = np.random.default_rng(seed).normal(size=m).round(1)
    found = guaranteed_threshold(np.ones(m), scores, sensitivity=goal)

    def bound(threshold):
        hits = int((scores >= threshold).sum())
        return stats.beta.ppf(0.05, hits, m - hits + 1)

    assert bound(found.threshold) >= goal
    assert found.lower_bound == pytest.approx(bound(found.threshold))
    larger = [t for t in np.unique(scores) if t > found.threshold]
    assert not larger or bound(larger[0]) < goal


def test_a_promise_is_kept_on_new_cases():
    rng = np.random.default_rng(0)
    kept = 0
    for _ in range(300):
        threshold = guaranteed_threshold(np.ones(60), rng.normal(size=60)).threshold
        kept += stats.norm.sf(threshold) >= 0.9
    assert kept / 300 > 0.93


def test_each_site_has_its_own_threshold_or_says_what_it_needs():
    scores = np.concatenate([np.linspace(0, 1, 50), np.linspace(2, 3, 10)])
    found = site_thresholds(np.ones(60), scores, ["a"] * 50 + ["b"] * 10)
    assert list(found) == ["all", "a", "b"]
    assert found["a"].threshold < 0.2
    assert math.isnan(found["b"].threshold)
    assert "at least 29 are needed" in found["b"].undefined


def test_the_margin_alone_makes_a_model_too_sure():
    labels, cosines = overconfident()
    assert expected_calibration_error(labels, 1 / (1 + np.exp(-16 * cosines))) > 0.1
