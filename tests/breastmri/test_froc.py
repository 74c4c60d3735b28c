"""FROC against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from breastmri._shared.errors import DataError
from breastmri.froc import Marks, froc

HIT_LOW = Marks((0.9, 0.4), (False, True), True)  # a false mark above the hit
HIT_HIGH = Marks((0.8, 0.3, 0.2), (True, True, False), True)  # found twice, counts once
HEALTHY = Marks((0.6,), (False,), False)
MISSED = Marks((), (), True)


def sensitivities(marks, rates):
    return [p.sensitivity.estimate for p in froc(marks, range(len(marks)), rates=rates, n_resamples=50)]


def test_sensitivity_grows_with_the_false_marks_allowed():
    # four breasts; false marks 0.9, 0.6, 0.2; best hits 0.4, 0.8, none
    assert sensitivities([HIT_LOW, HIT_HIGH, HEALTHY, MISSED], [0.0, 0.25, 0.5, 1.0]) == pytest.approx(
        [0.0, 1 / 3, 2 / 3, 2 / 3]
    )


def test_without_a_lesion_it_is_undefined():
    assert all(math.isnan(s) for s in sensitivities([HEALTHY, HEALTHY], [1.0]))


def test_intervals_hold_the_estimate():
    point = froc([HIT_LOW, HIT_HIGH, HEALTHY, MISSED] * 5, range(20), rates=[0.5])[0].sensitivity
    assert point.low <= point.estimate <= point.high


def test_lengths_must_agree():
    with pytest.raises(DataError, match="expected one patient id per breast"):
        froc([HEALTHY], [1, 2])
