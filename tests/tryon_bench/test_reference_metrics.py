"""The loop reference agrees with libraries, where they define the variant, and with closed forms elsewhere."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from tests.tryon_bench import reference_metrics as ref
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

RNG = np.random.default_rng(3)
BASE = np.kron(RNG.integers(20, 230, (4, 5, 3)), np.ones((8, 8, 1)))
A = BASE.astype(np.uint8)
B = np.clip(BASE + RNG.normal(0, 18, BASE.shape), 0, 255).astype(np.uint8)
X, Y = RNG.normal(size=(30, 6)), RNG.normal(0.3, 1.4, (24, 6))
GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float64)).permute(2, 0, 1)[None]


def test_gray_is_that_of_pillow() -> None:
    np.testing.assert_array_equal(ref.gray_l(B), np.asarray(Image.fromarray(B).convert("L")))


def test_cropped_variants_equal_scikit_image() -> None:
    gray_a, gray_b = ref.gray_l(A), ref.gray_l(B)
    expected = structural_similarity(A, B, channel_axis=2, **GAUSSIAN)
    assert ref.ssim_torchmetrics_old(A, B) == pytest.approx(expected, abs=1e-10)
    assert ref.ssim_gray_gaussian(A, B) == pytest.approx(
        structural_similarity(gray_a, gray_b, **GAUSSIAN), abs=1e-10
    )
    assert ref.ssim_gray_uniform(A, B) == pytest.approx(structural_similarity(gray_a, gray_b), abs=1e-10)
    assert ref.ssim_rgb_uniform(A, B) == pytest.approx(structural_similarity(A, B, channel_axis=2), abs=1e-10)


def test_reflected_variant_equals_the_installed_torchmetrics() -> None:
    expected = structural_similarity_index_measure(tensor(A), tensor(B), data_range=255.0)
    assert ref.ssim_torchmetrics_new(A, B) == pytest.approx(float(expected), abs=1e-7)


def test_zero_padded_variant_equals_convolution_with_zeros() -> None:
    kernel = torch.from_numpy(ref.gaussian_window())[None, None].repeat(3, 1, 1, 1)

    def blur(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, kernel, padding=5, groups=3)

    a, b = tensor(A) / 255, tensor(B) / 255
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, cov = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
    expected = (luminance * (2 * cov + 9e-4) / (var_a + var_b + 9e-4)).mean()
    assert ref.ssim_zero_padded(A / 255, B / 255, data_range=1.0) == pytest.approx(float(expected), abs=1e-10)


def test_value_range_matters_only_when_it_does_not_follow_the_values() -> None:
    scaled = ref.ssim_torchmetrics_old(A / 255, B / 255, 1.0)
    assert scaled == pytest.approx(ref.ssim_torchmetrics_old(A, B), abs=1e-12)
    signed_a, signed_b = A / 127.5 - 1, B / 127.5 - 1
    wrong, right = (ref.ssim_torchmetrics_old(signed_a, signed_b, r) for r in (1.0, 2.0))
    assert wrong < right < scaled  # the order of the specification's table


def test_every_variant_is_one_for_equal_pictures() -> None:
    for metric in (ref.ssim_torchmetrics_new, ref.ssim_gray_gaussian, ref.ssim_gray_uniform, ref.ssim_zero_padded):
        assert metric(B, B) == pytest.approx(1.0, abs=1e-12)


def test_canvas_counts_the_outside_as_perfect_and_masked_does_not() -> None:
    mask = np.zeros(A.shape[:2])
    mask[:20, :20] = 1
    full, _ = ref.ssim_maps(A[..., 0], B[..., 0], ref.gaussian_window())
    one = (A[..., :1], B[..., :1])
    assert ref.ssim_masked(*one, mask) == pytest.approx(full[:10, :10].mean())
    assert ref.ssim_masked(*one, np.ones_like(mask)) == pytest.approx(full.mean())
    assert math.isnan(ref.ssim_masked(*one, np.zeros_like(mask)))
    assert ref.ssim_canvas(*one, mask) > ref.ssim_masked(*one, mask)
    assert ref.ssim_canvas(*one, np.zeros_like(mask)) == pytest.approx(1.0)
    assert ref.ssim_canvas(*one, np.ones_like(mask)) == pytest.approx(full.mean())


def test_multi_scale_equals_the_installed_torchmetrics_at_two_scales() -> None:
    expected = multiscale_structural_similarity_index_measure(
        tensor(A), tensor(B), data_range=255.0, betas=(0.4, 0.6)
    )
    ours = ref.ms_ssim(A, B, (0.4, 0.6), border="valid", last_border="reflect")
    assert ours == pytest.approx(float(expected), abs=1e-6)
    assert abs(ref.ms_ssim(A, B, (0.4, 0.6)) - float(expected)) > 1e-4  # it mixes two borders, cropped is one


def test_multi_scale_of_one_scale_is_ssim_and_channels_agree_when_equal() -> None:
    assert ref.ms_ssim(A, B, (1.0,)) == pytest.approx(ref.ssim_torchmetrics_old(A, B))
    same = (np.repeat(A[..., :1], 3, 2), np.repeat(B[..., :1], 3, 2))
    assert ref.ms_ssim(*same, (0.4, 0.6), per_channel=True) == pytest.approx(ref.ms_ssim(*same, (0.4, 0.6)))


def test_psnr_of_a_constant_error_and_of_equal_pictures() -> None:
    assert ref.psnr(np.zeros((4, 4, 3)), np.full((4, 4, 3), 25.5)) == pytest.approx(20.0)
    assert ref.psnr(A, A) == math.inf


def test_frechet_distance_equals_the_nuclear_norm_form() -> None:
    x, y = X - X.mean(0), Y - Y.mean(0)
    cross = np.linalg.norm(x @ y.T, "nuc") / math.sqrt(29 * 23)
    expected = ((X.mean(0) - Y.mean(0)) ** 2).sum() + (x**2).sum() / 29 + (y**2).sum() / 23 - 2 * cross
    assert ref.frechet_distance(X, Y) == pytest.approx(expected, rel=1e-9)
    assert ref.frechet_distance(X, X) == pytest.approx(0, abs=1e-9)
    assert ref.frechet_distance(X, X + 2) == pytest.approx(4 * 6)


def test_kid_equals_its_matrix_form_and_one_full_subset() -> None:
    xx, yy, xy = ((a @ b.T / 6 + 1) ** 3 for a, b in ((X, X), (Y, Y), (X, Y)))
    expected = (xx.sum() - xx.trace()) / (30 * 29) + (yy.sum() - yy.trace()) / (24 * 23) - 2 * xy.mean()
    assert ref.kid(X, Y) == pytest.approx(expected)
    assert ref.kid_subsets(X, Y, [(range(30), range(24))]) == pytest.approx((expected, 0.0))
    halves = [ref.kid(X[:12], Y[:12]), ref.kid(X[12:24], Y[12:])]
    subsets = [(range(12), range(12)), (range(12, 24), range(12, 24))]
    assert ref.kid_subsets(X, Y, subsets) == pytest.approx((np.mean(halves), np.std(halves)))


def test_kid_is_unbiased_over_all_subsets_of_one_set_against_itself_split() -> None:
    draws = [RNG.permutation(54) for _ in range(60)]
    pool = np.concatenate([X, RNG.normal(size=(24, 6))])
    values = [ref.kid(pool[d[:8]], pool[d[8:16]]) for d in draws]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(60)


def test_cmmd_equals_its_matrix_form_and_is_zero_for_equal_sets() -> None:
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (X, Y))
    xx, yy, xy = (np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 200) for a, b in ((x, x), (y, y), (x, y)))
    assert ref.cmmd(X, Y) == pytest.approx(1000 * (xx.mean() + yy.mean() - 2 * xy.mean()), rel=1e-9)
    assert ref.cmmd(X, X) == pytest.approx(0, abs=1e-9)
    without = (xx.sum() - 30) / 870 + (yy.sum() - 24) / 552 - 2 * xy.mean()
    assert ref.cmmd(X, Y, unbiased=True) == pytest.approx(1000 * without, rel=1e-9)


def test_inception_score_runs_from_one_to_the_number_of_classes() -> None:
    assert ref.inception_score(np.tile([0.2, 0.3, 0.5], (6, 1)), 2) == pytest.approx((1.0, 0.0))
    assert ref.inception_score(np.eye(4)) == pytest.approx((4.0, 0.0))
    logits = RNG.normal(size=(11, 5))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    parts = [np.exp((q * np.log(q / q.mean(0))).sum(1).mean()) for q in (p[:5], p[5:])]
    assert ref.inception_score(p, 2) == pytest.approx((np.mean(parts), np.std(parts)))


def test_neighbour_metrics_equal_their_matrix_forms() -> None:
    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(a[:, None] - b[None], axis=-1)

    across = distances(X, Y)
    real, fake = (np.sort(distances(z, z), 1)[:, 3] for z in (X, Y))
    hits = across < real[:, None]
    expected = {
        "precision": hits.any(0).mean(),
        "recall": (across < fake[None]).any(1).mean(),
        "density": hits.sum() / (3 * 24),
        "coverage": hits.any(1).mean(),
    }
    assert ref.prdc(X, Y, k=3) == pytest.approx(expected)
    assert all(0 < value < 1 for value in list(expected.values())[:2])


def test_open_and_closed_balls_differ_on_the_border() -> None:
    line, touching = np.array([[0.0], [1.0], [2.0]]), np.array([[3.0], [4.0], [5.0]])
    assert ref.prdc(line, touching, k=1)["precision"] == 0
    assert ref.prdc(line, touching, k=1, closed=True)["precision"] == pytest.approx(1 / 3)


def test_semantic_score_forms_of_one_right_angle() -> None:
    a, b = np.array([[3.0, 0]]), np.array([[0, 4.0]])
    assert [ref.semantic_score(a, b, v) for v in ("l2", "cosdist100", "cos")] == pytest.approx([5, 100, 0])
    angle = math.acos(0.9)
    pair = np.array([[10.0, 0]]), np.array([[10 * 0.9, 10 * math.sin(angle)]])
    assert ref.semantic_score(*pair) == pytest.approx(4.47, abs=0.01)  # "norm 10, cos 0.90: about 4.5"
