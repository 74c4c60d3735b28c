"""Pointing game, CNR and IoU of heat maps."""

from __future__ import annotations

from math import isnan, sqrt

import numpy as np
import pytest

from cmcgns._shared.errors import DataError
from cmcgns.metrics.grounding import contrast_to_noise, map_iou, pointing_game

REGION = np.zeros((4, 4), bool)
REGION[:2, :2] = True


def test_pointing_takes_the_brightest_pixel() -> None:
    heat = np.zeros((4, 4))
    heat[1, 1] = 1
    assert pointing_game(heat, REGION) == 1
    heat[3, 3] = 2
    assert pointing_game(heat, REGION) == 0


def test_a_constant_map_points_by_chance_and_has_no_contrast() -> None:
    assert pointing_game(np.ones((4, 4)), REGION) == pytest.approx(REGION.mean())
    assert isnan(contrast_to_noise(np.ones((4, 4)), REGION))


def test_contrast_has_a_sign_so_an_inverted_map_is_bad() -> None:
    heat = np.random.default_rng(0).normal(size=(4, 4)) + 3 * REGION
    inside, outside = heat[REGION], heat[~REGION]
    expected = (inside.mean() - outside.mean()) / sqrt(inside.var() + outside.var())
    assert contrast_to_noise(heat, REGION) == pytest.approx(expected)
    assert contrast_to_noise(-heat, REGION) == pytest.approx(-expected)


def test_an_empty_region_is_undefined() -> None:
    nothing = np.zeros((4, 4), bool)
    assert isnan(pointing_game(np.ones((4, 4)), nothing))
    assert isnan(map_iou(np.zeros((4, 4)), nothing, 0.5))


def test_iou_counts_the_threshold_as_bright() -> None:
    assert map_iou(REGION * 0.5, REGION, 0.5) == 1


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError, match="one shape"):
        pointing_game(np.ones((4, 4)), np.ones((4, 5), bool))
