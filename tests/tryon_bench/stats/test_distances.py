"""Intervals of distribution distances cover what they say they do."""

from __future__ import annotations

import numpy as np
import pytest

from tryon_bench._shared.errors import DataError
from tryon_bench.metrics import frechet_distance, kid
from tryon_bench.stats.distances import bias_curve, frechet_interval, kid_interval


class Simulation:
    """Pairs of features with a shared part, as results and photos of the same persons have."""

    def __init__(self, d: int, n: int, shared: float, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.mix = self.rng.normal(size=(d, d)) / np.sqrt(d) + np.eye(d)
        self.d, self.n, self.shared = d, n, shared

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        common, *own = self.rng.normal(size=(3, self.n, self.d))
        x, y = (np.sqrt(self.shared) * common + np.sqrt(1 - self.shared) * part for part in own)
        return x @ self.mix + 0.15, y @ self.mix * 1.1


@pytest.mark.slow
@pytest.mark.parametrize(("d", "n", "shared"), [(8, 160, 0.7), (32, 200, 0.0)])
def test_frechet_intervals_cover_the_expectation_at_their_n(d, n, shared):
    simulation = Simulation(d, n, shared)
    truth = np.mean([frechet_distance(*simulation.draw()) for _ in range(600)])
    intervals = [frechet_interval(*simulation.draw()) for _ in range(160)]
    assert {i.estimand for i in intervals} == {"E[FID_n]"}
    assert 0.90 <= np.mean([i.low <= truth <= i.high for i in intervals]) <= 0.98


@pytest.mark.slow
def test_kid_intervals_cover_the_expectation_at_their_n():
    simulation = Simulation(8, 120, 0.5)
    truth = np.mean([kid(*simulation.draw()) for _ in range(1500)])
    covered = np.mean([i.low <= truth <= i.high for i in (kid_interval(*simulation.draw()) for _ in range(300))])
    assert 0.90 <= covered <= 0.98


def test_the_exact_jackknife_of_kid_equals_leaving_pairs_out():
    x, y = Simulation(4, 12, 0.5).draw()
    left = [kid(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(12)]
    error = np.sqrt(11 / 12 * ((np.array(left) - np.mean(left)) ** 2).sum())
    interval = kid_interval(x, y)
    assert interval.estimate == pytest.approx(kid(x, y))
    assert (interval.high - interval.low) / 2 == pytest.approx(
        2.200985 * error, rel=1e-5
    )  # t quantile, 11 degrees


def test_the_percentile_bootstrap_of_fid_does_not_cover_and_is_not_used():
    """Why there is a jackknife: resampled distances lie beside the distance itself."""
    x, y = Simulation(16, 100, 0.0).draw()
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(60):
        i, j = rng.integers(100, size=(2, 100))
        resampled.append(frechet_distance(x[i], y[j]))
    assert np.quantile(resampled, 0.025) > frechet_distance(x, y)


def test_the_distance_falls_with_n_and_is_extrapolated_below_all_of_them():
    x, y = Simulation(8, 400, 0.0).draw()
    curve = bias_curve(x, y)
    assert curve.n[-1] == 400
    assert curve.distance[0] > curve.distance[-1] > curve.extrapolated > 0


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match="at least 20 images"):
        frechet_interval(np.zeros((10, 2)), np.zeros((10, 2)))
    with pytest.raises(DataError, match="expected pairs, got 5 and 6"):
        kid_interval(np.zeros((5, 2)), np.zeros((6, 2)))
