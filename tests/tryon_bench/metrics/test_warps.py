"""End-point error: pixels of the garment's photo, over the mask alone."""

from __future__ import annotations

import numpy as np
import pytest

from tryon_bench._shared.errors import DataError
from tryon_bench.metrics import end_point_error


def test_it_is_the_mean_distance_in_pixels_inside_the_mask() -> None:
    truth = np.random.default_rng(0).uniform(size=(4, 5, 2))
    where = truth.copy()
    where[0, 0] += [0.03, 0.0]
    where[0, 1] += [0.0, 0.02]
    where[3, 3] += 1.0
    mask = np.zeros((4, 5), bool)
    mask[0, :2] = True
    assert end_point_error(where, truth, mask, (100, 200)) == pytest.approx((6 + 2) / 2)
    assert end_point_error(truth, truth, mask) == 0
    assert np.isnan(end_point_error(where, truth, np.zeros((4, 5), bool)))


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match="expected two maps"):
        end_point_error(np.zeros((4, 5, 2)), np.zeros((4, 5, 2)), np.zeros((5, 4), bool))
