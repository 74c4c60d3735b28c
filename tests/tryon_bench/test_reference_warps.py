"""The package's splines, blends and end-point errors against a second writing of their equations in loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.tryon_bench.reference_warps import (
    bending,
    blend,
    error_of_box,
    relaxed,
    spline_coefficients,
    spline_value,
)

from tryon_bench.data.open import open_dataset
from tryon_bench.engine.images import decode
from tryon_bench.methods.baselines import box_map
from tryon_bench.methods.conditions import conditions_of
from tryon_bench.methods.known import read_known_warp
from tryon_bench.metrics import end_point_error
from tryon_bench.poisson import harmonic_fill, poisson_blend
from tryon_bench.synth.write import write_synthetic
from tryon_bench.tps import dense_map, fit_tps

RNG = np.random.default_rng(11)
TARGETS = RNG.uniform(size=(14, 2))
SOURCES = TARGETS + RNG.normal(0, 0.1, (14, 2))
ELSEWHERE = RNG.uniform(-0.2, 1.2, (30, 2))
EACH = RNG.uniform(1e-6, 1e-1, 14)


@pytest.mark.parametrize(
    "regularisation", [0.0, 1e-6, 1e-3, 1e-1, EACH], ids=["0", "1e-6", "1e-3", "1e-1", "each"]
)
def test_a_spline_is_the_solution_of_the_full_system(regularisation: float | np.ndarray) -> None:
    weights, affine = spline_coefficients(TARGETS, SOURCES, np.broadcast_to(regularisation, 14))
    spline = fit_tps(TARGETS, SOURCES, regularisation)
    expected = [spline_value(TARGETS, weights, affine, at) for at in ELSEWHERE]
    np.testing.assert_allclose(spline(ELSEWHERE), expected, rtol=0, atol=1e-9)
    assert spline.bending_energy == pytest.approx(bending(TARGETS, weights), abs=1e-9)


@pytest.mark.parametrize("regularisation", [0.0, 1e-3, 10.0])
def test_an_affine_map_is_exact_at_any_regularisation_and_lambda_0_interpolates(regularisation: float) -> None:
    linear, shift = np.array([[0.7, -0.2], [0.3, 1.4]]), np.array([0.3, -0.1])
    spline = fit_tps(TARGETS, TARGETS @ linear + shift, regularisation)
    np.testing.assert_allclose(spline(ELSEWHERE), ELSEWHERE @ linear + shift, rtol=0, atol=1e-8)
    np.testing.assert_allclose(fit_tps(TARGETS, SOURCES)(TARGETS), SOURCES, rtol=0, atol=1e-10)


@pytest.mark.parametrize("mixed", [False, True])
def test_a_blend_is_the_solution_of_the_full_system(mixed: bool) -> None:
    source, target = RNG.integers(40, 200, (2, 13, 11, 3), dtype=np.uint8)
    mask = RNG.uniform(size=(13, 11)) < 0.6  # islands, holes and pixels at the frame
    found = poisson_blend(source, target, mask, mixed)
    for colour in range(3):
        exact = blend(source[..., colour].astype(float), target[..., colour].astype(float), mask, mixed)
        assert np.abs(found[..., colour] - exact.clip(0, 255)).max() <= 0.5 + 1e-6
    np.testing.assert_array_equal(poisson_blend(target, target, mask, mixed), target)


def test_harmonic_filling_is_what_relaxation_converges_to() -> None:
    image = RNG.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    hole = np.zeros((9, 8), bool)
    hole[2:7, 0:5] = True
    hole[4, 2] = False
    filled = harmonic_fill(image, hole)
    for colour in range(3):
        assert (
            np.abs(filled[..., colour] - relaxed(image[..., colour].astype(float), hole, 300)).max() <= 0.5 + 1e-6
        )


@pytest.mark.parametrize("size", [(63, 47), (96, 72)])
def test_the_end_point_error_is_the_mean_distance_from_the_file_of_the_truth(
    size: tuple[int, int], tmp_path: Path
) -> None:
    write_synthetic("dresscode", tmp_path / "set", cases=6, size=size)
    for sample in open_dataset(tmp_path / "set").samples:
        person, garment = decode(sample.person), decode(sample.garment)
        conditions = conditions_of(sample, person, garment, 0)
        assert conditions.known_warp is not None
        truth = dense_map(read_known_warp(conditions.known_warp), size)
        found = end_point_error(box_map(conditions), truth, conditions.target, garment.shape[:2])
        expected = error_of_box(conditions.known_warp, conditions.target, conditions.garment_mask)
        assert found == pytest.approx(expected, abs=1e-8)
        assert end_point_error(truth, truth, conditions.target) == 0
