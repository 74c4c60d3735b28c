"""SSIM and MS-SSIM against scikit-image, torchmetrics and the independent loop reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from tests.tryon_bench import reference_metrics as reference
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from tryon_bench._shared.errors import ConfigError, DataError
from tryon_bench.metrics import ms_ssim, ssim, ssim_map
from tryon_bench.metrics.structural import SSIM_VARIANTS, border_of


def pair(height: int = 40, width: int = 33, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image with a flat white area, where variances are differences of equal squares, and a damaged copy."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    first[: height // 3] = 255
    second = (first + rng.normal(0, 25, first.shape)).clip(0, 255).astype(np.uint8)
    second[: height // 5] = 255
    return first, second


def torch_form(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].double()


REFERENCES = {
    "rgb_gaussian_valid": reference.ssim_torchmetrics_old,
    "rgb_gaussian_reflect": reference.ssim_torchmetrics_new,
    "rgb_gaussian_zero": reference.ssim_zero_padded,
    "gray_gaussian": reference.ssim_gray_gaussian,
    "gray_uniform7": reference.ssim_gray_uniform,
    "rgb_uniform7": reference.ssim_rgb_uniform,
}


@pytest.mark.parametrize("variant", SSIM_VARIANTS)
def test_every_variant_equals_the_loop_reference(variant):
    first, second = pair(20, 17)
    assert ssim(first, second, variant=variant) == pytest.approx(REFERENCES[variant](first, second), abs=1e-9)


@pytest.mark.parametrize("variant", ["rgb_gaussian_valid", "gray_gaussian", "gray_uniform7", "rgb_uniform7"])
def test_cropped_variants_equal_scikit_image(variant):
    first, second = pair()
    colour = variant.startswith("rgb")
    a, b = (first, second) if colour else (reference.gray_l(first), reference.gray_l(second))
    options = (
        {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False} if "gaussian" in variant else {}
    )
    expected = structural_similarity(a, b, data_range=255, channel_axis=2 if colour else None, **options)
    assert ssim(first, second, variant=variant) == pytest.approx(expected, abs=1e-6)


def test_the_reflected_variant_equals_todays_torchmetrics():
    first, second = pair()
    expected = structural_similarity_index_measure(torch_form(first), torch_form(second), data_range=255.0)
    assert ssim(first, second, variant="rgb_gaussian_reflect") == pytest.approx(float(expected), abs=1e-6)


def test_the_cropped_variant_equals_torchmetrics_up_to_1_4_which_cut_the_border_off():
    first, second = pair()
    _, full = structural_similarity_index_measure(
        torch_form(first), torch_form(second), data_range=255.0, return_full_image=True
    )
    assert ssim(first, second) == pytest.approx(float(full[..., 5:-5, 5:-5].mean()), abs=1e-6)


def test_ms_ssim_equals_torchmetrics_with_its_border():
    first, second = pair(200, 176)
    expected = multiscale_structural_similarity_index_measure(
        torch_form(first), torch_form(second), data_range=255.0
    )
    assert ms_ssim(first, second, border="reflect") == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("variant", SSIM_VARIANTS)
def test_equal_images_score_one_and_order_does_not_matter(variant):
    first, second = pair()
    assert ssim(first, first, variant=variant) == pytest.approx(1.0, abs=1e-12)
    assert ssim(first, second, variant=variant) == pytest.approx(ssim(second, first, variant=variant), abs=1e-12)


@pytest.mark.parametrize("variant", SSIM_VARIANTS)
def test_the_map_lacks_the_border_that_is_cropped(variant):
    first, second = pair()
    cut = 2 * border_of(variant)
    assert ssim_map(first, second, variant).shape == (40 - cut, 33 - cut)


@pytest.mark.parametrize(
    ("pred", "ref", "message"),
    [
        (np.zeros((20, 20, 3), np.float32), np.zeros((20, 20, 3), np.uint8), "prediction: expected .* uint8"),
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.uint8), "reference: expected"),
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 21, 3), np.uint8), "20 x 20 px and reference 21 x 20"),
        (np.zeros((10, 20, 3), np.uint8), np.zeros((10, 20, 3), np.uint8), "at least 11 px"),
    ],
)
def test_what_is_no_pair_of_8_bit_images_is_refused(pred, ref, message):
    with pytest.raises(DataError, match=message):
        ssim(pred, ref)


def test_ms_ssim_says_which_size_it_needs():
    with pytest.raises(DataError, match="ms_ssim needs at least 176 px"):
        ms_ssim(*pair(175, 200))
    with pytest.raises(DataError, match="at least 161 px"):
        ms_ssim(*pair(160, 200), border="reflect")


@pytest.mark.parametrize(("border", "side"), [("valid", 176), ("reflect", 161)])
def test_ms_ssim_is_a_number_at_the_smallest_size_it_takes(border, side):
    first, second = pair(side, side)
    assert ms_ssim(first, first, border=border) == pytest.approx(1)
    assert 0 < ms_ssim(first, second, border=border) < 1


def test_an_unknown_variant_is_answered_with_those_there_are():
    with pytest.raises(ConfigError, match="variant 'gauss'; expected one of rgb_gaussian_valid"):
        ssim(*pair(), variant="gauss")
    with pytest.raises(ConfigError, match="border 'zero'; expected one of valid, reflect"):
        ms_ssim(*pair(176, 176), border="zero")
