"""Dice whose value does not hide what became of films without a finding (engineering defect 32)."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from cmcgns.metrics.segmentation import mean_dice

FULL, NONE = np.ones((2, 2), bool), np.zeros((2, 2), bool)
HALF = np.array([[True, True], [False, False]])


def test_films_without_finding_are_left_out_and_their_false_alarms_counted() -> None:
    scores = mean_dice([HALF, NONE, FULL], [FULL, NONE, NONE])
    assert scores.mean == pytest.approx(2 / 3)
    assert (scores.empty_references, scores.false_alarms) == (2, 1)


def test_the_official_rule_gives_another_mean() -> None:
    scores = mean_dice([HALF, NONE, FULL], [FULL, NONE, NONE], empty="one")
    assert scores.mean == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_a_missed_finding_is_zero_under_both_rules() -> None:
    assert mean_dice([NONE], [FULL]).mean == mean_dice([NONE], [FULL], empty="one").mean == 0


def test_without_any_finding_it_is_undefined() -> None:
    assert isnan(mean_dice([NONE], [NONE]).mean)
