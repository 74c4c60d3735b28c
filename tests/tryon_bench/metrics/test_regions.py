"""The two reductions of a region."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from tests.tryon_bench import reference_metrics as reference

from tryon_bench.metrics import ssim, ssim_map
from tryon_bench.metrics.regions import edge_band, filled_outside, grown, masked_mean, shrunk


@pytest.fixture
def mask():
    found = np.zeros((40, 30), bool)
    found[8:32, 5:28] = True
    return found


@pytest.fixture
def images():
    rng = np.random.default_rng(1)
    return tuple(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8) for _ in range(2))


def test_masked_ssim_equals_the_reference(images, mask):
    found = masked_mean(ssim_map(*images), mask, radius=5, border=5)
    assert found == pytest.approx(reference.ssim_masked(*images, mask), abs=1e-9)


def test_canvas_ssim_equals_the_reference(images, mask):
    found = ssim(*(filled_outside(image, mask, 0) for image in images))
    assert found == pytest.approx(reference.ssim_canvas(*images, mask), abs=1e-9)


def test_what_changes_outside_does_not_move_the_masked_mean(images, mask):
    first, second = images
    changed = np.where(mask[:, :, None], first, 255 - first)
    means = [masked_mean(ssim_map(image, second), mask, radius=5, border=5) for image in (first, changed)]
    assert means[0] == means[1]


def test_a_region_that_the_window_does_not_fit_in_is_undefined(images):
    sliver = np.zeros((40, 30), bool)
    sliver[:, 12:16] = True
    assert math.isnan(masked_mean(ssim_map(*images), sliver, radius=5, border=5))


def test_shrinking_is_the_erosion_by_a_square_and_the_frame_does_not_count(mask):
    square = np.ones((7, 7), bool)
    np.testing.assert_array_equal(shrunk(mask, 3), binary_erosion(mask, square, border_value=1))
    assert shrunk(np.ones((9, 9), bool), 3).all()


def test_the_band_lies_on_both_sides_of_the_border(mask):
    band = edge_band(mask, 2)
    assert (band & mask).any()
    assert (band & ~mask).any()
    assert not (band & shrunk(mask, 2)).any()
    np.testing.assert_array_equal(band | shrunk(mask, 2), grown(mask, 2))
