"""Thin-plate splines: affine maps are exact, points are met, the dense form agrees with the exact one."""

from __future__ import annotations

import numpy as np
import pytest

from tryon_bench._shared.errors import DataError
from tryon_bench.tps import dense_map, fit_tps, sample

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(size=(25, 2))
AFFINE = np.array([[1.1, 0.2], [-0.3, 0.9]])


def test_an_affine_map_is_reproduced_and_bends_nothing() -> None:
    spline = fit_tps(POINTS, POINTS @ AFFINE + [0.1, -0.2])
    where = RNG.uniform(-1, 2, (100, 2))
    np.testing.assert_allclose(spline(where), where @ AFFINE + [0.1, -0.2], rtol=0, atol=1e-8)
    assert spline.bending_energy == pytest.approx(0, abs=1e-10)


def test_without_regularisation_points_go_where_they_should() -> None:
    targets = POINTS + RNG.normal(0, 0.05, POINTS.shape)
    np.testing.assert_allclose(fit_tps(POINTS, targets)(POINTS), targets, rtol=0, atol=1e-12)


def test_much_regularisation_gives_the_best_affine_map() -> None:
    targets = POINTS @ AFFINE + RNG.normal(0, 0.05, POINTS.shape)
    stiff = fit_tps(POINTS, targets, 1e6)
    design = np.concatenate([np.ones((25, 1)), POINTS], axis=1)
    best, *_ = np.linalg.lstsq(design, targets, rcond=None)
    np.testing.assert_allclose(stiff(POINTS), design @ best, atol=1e-4)
    assert stiff.bending_energy < fit_tps(POINTS, targets).bending_energy


def test_a_point_that_is_trusted_less_is_met_less_closely() -> None:
    targets = POINTS + RNG.normal(0, 0.05, POINTS.shape)
    trust = np.full(25, 1e-6)
    trust[7] = 10.0
    missed = np.linalg.norm(fit_tps(POINTS, targets, trust)(POINTS) - targets, axis=1)
    assert missed.argmax() == 7
    assert np.delete(missed, 7).max() < 1e-3 < missed[7]


def test_the_coarse_grid_is_close_to_the_exact_map() -> None:
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 5)), axis=2).reshape(-1, 2)
    spline = fit_tps(grid, grid + RNG.normal(0, 0.02, grid.shape))
    exact, fast = dense_map(spline, (120, 90)), dense_map(spline, (120, 90), step=8)
    assert fast.shape == exact.shape
    assert np.abs(exact - fast).max() * 120 < 1  # px


def test_the_identity_samples_an_image_unchanged() -> None:
    image = RNG.integers(0, 256, (20, 15, 3), dtype=np.uint8)
    where = dense_map(fit_tps(POINTS, POINTS), (20, 15))
    np.testing.assert_array_equal(sample(image, where, 255), image)
    assert (sample(image[..., 0], where + 2, 7) == 7).all()


@pytest.mark.parametrize(
    "points", [np.zeros((2, 2)), np.array([[0.0, 0], [1, 1], [2, 2], [3, 3]]), np.zeros((4, 2))]
)
def test_points_that_define_no_spline_are_refused(points: np.ndarray) -> None:
    with pytest.raises(DataError, match="spline"):
        fit_tps(points, points)
