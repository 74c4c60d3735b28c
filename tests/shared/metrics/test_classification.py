"""Operating points, calibration and resampling against scikit-learn, loops and values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from quartet_shared.errors import DataError
from quartet_shared.metrics.classification import (
    auroc,
    average_precision,
    brier,
    expected_calibration_error,
    metric_interval,
    operating_point,
    proportion,
    reliability,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
    threshold_at,
)

CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=4, max_size=30)


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_areas_equal_scikit_learn_and_are_undefined_with_one_class(cases):
    labels, scores = zip(*cases, strict=True)
    if len(set(labels)) < 2:
        assert math.isnan(auroc(labels, scores))
        assert math.isnan(average_precision(labels, scores))
    else:
        assert auroc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))
        assert average_precision(labels, scores) == pytest.approx(sk.average_precision_score(labels, scores))


@settings(max_examples=80, deadline=None)
@given(CASES, st.sampled_from([0.5, 0.8, 0.9, 1.0]))
def test_the_threshold_is_the_best_that_keeps_the_promise(cases, goal):
    labels, scores = zip(*cases, strict=True)
    candidates = [*sorted(set(scores)), math.inf]
    points = [operating_point(labels, scores, t) for t in candidates]
    if len(set(labels)) < 2:
        return
    kept = [p for p in points if p.specificity.value >= goal]
    best = sensitivity_at_specificity(labels, scores, goal)
    assert best.specificity.value >= goal
    assert best.sensitivity.value == max(p.sensitivity.value for p in kept)
    kept = [p for p in points if p.sensitivity.value >= goal]
    best = specificity_at_sensitivity(labels, scores, goal)
    assert best.sensitivity.value >= goal
    assert best.specificity.value == max(p.specificity.value for p in kept)


def test_operating_point_by_hand():
    point = operating_point([0, 0, 0, 1, 1], [0.1, 0.6, 0.2, 0.7, 0.3], 0.5)
    assert (point.sensitivity.value, point.specificity.value) == (0.5, 2 / 3)
    assert (point.accuracy.value, point.ppv.value, point.npv.value) == (0.6, 0.5, 2 / 3)


def test_shares_without_a_denominator_are_undefined():
    point = operating_point([0, 0], [0.1, 0.2], 0.5)
    assert math.isnan(point.sensitivity.value)
    assert point.ppv.n == 0
    assert point.undefined == "no positive case"
    assert math.isnan(threshold_at([0, 0], [0.1, 0.2], goal="sensitivity", at_least=0.9))


@pytest.mark.parametrize(("method", "low", "high"), [("exact", 79.10, 87.66), ("wilson", 79.17, 87.42)])
def test_interval_of_the_sister_studys_accuracy(method, low, high):
    share = proportion(257, 307, method=method)
    assert (100 * share.low, 100 * share.high) == pytest.approx((low, high), abs=0.005)


def test_calibration_error_by_hand_and_for_calibrated_probabilities():
    assert expected_calibration_error([0, 0, 1, 1], [0.2, 0.2, 0.9, 0.9], by="width") == pytest.approx(0.15)
    rng = np.random.default_rng(0)
    probs = rng.random(20_000)
    labels = rng.random(20_000) < probs
    assert expected_calibration_error(labels, probs) < 0.015
    assert brier(labels, probs) == pytest.approx(1 / 6, abs=0.01)
    assert brier(labels, probs) == pytest.approx(sk.brier_score_loss(labels, probs))


def test_every_case_is_in_one_bin():
    rng = np.random.default_rng(1)
    probs = np.round(rng.random(57), 1)
    for by in ("mass", "width"):
        assert sum(row.observed.n for row in reliability(probs > 0.5, probs, by=by)) == 57
    assert reliability([1, 1], [0.5, 0.5])[0].observed.value == 1.0
    assert reliability([], []) == []


def test_probabilities_outside_their_range_are_refused():
    with pytest.raises(DataError, match=r"probabilities in \[0, 1\], got -0.1 to 1.2"):
        brier([0, 1], [-0.1, 1.2])


def test_resamples_without_a_class_are_counted():
    interval = metric_interval(auroc, [0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.5, 0.9], n_resamples=400)
    assert 0 < interval.dropped_resamples < 100
    assert interval.low <= interval.estimate <= interval.high
    none = metric_interval(auroc, [1, 1, 1], [0.1, 0.2, 0.6])
    assert math.isnan(none.estimate)
    assert none.undefined


def test_patients_are_resampled_whole():
    labels = np.repeat([0, 1] * 10, 6)
    scores = np.repeat(np.random.default_rng(2).normal(size=20), 6) + labels
    clustered = metric_interval(auroc, labels, scores, np.repeat(np.arange(20), 6).tolist(), n_resamples=300)
    pretended = metric_interval(auroc, labels, scores, n_resamples=300)
    assert clustered.high - clustered.low > 1.5 * (pretended.high - pretended.low)
