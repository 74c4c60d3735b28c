"""PSNR and colour difference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio
from tests.tryon_bench import reference_metrics as reference

from tryon_bench.metrics import colour_difference, psnr
from tryon_bench.metrics.pixels import lab


@pytest.fixture
def images():
    rng = np.random.default_rng(3)
    return tuple(rng.integers(0, 256, (12, 9, 3), dtype=np.uint8) for _ in range(2))


def test_psnr_equals_scikit_image_and_the_reference(images):
    assert psnr(*images) == pytest.approx(peak_signal_noise_ratio(*images, data_range=255), abs=1e-6)
    assert psnr(*images) == pytest.approx(reference.psnr(*images), abs=1e-9)


def test_psnr_of_equal_images_is_infinite(images):
    assert psnr(images[0], images[0]) == math.inf


def test_lab_equals_scikit_image(images):
    np.testing.assert_allclose(lab(images[0]), rgb2lab(images[0]), atol=1e-3)


def test_colour_difference_is_the_distance_in_lab(images):
    expected = np.linalg.norm(rgb2lab(images[0]) - rgb2lab(images[1]), axis=2)
    np.testing.assert_allclose(colour_difference(*images), expected, atol=1e-3)
