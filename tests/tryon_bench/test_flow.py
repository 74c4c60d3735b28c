"""The estimated flow: known maps are found, affine ones cost nothing, hidden pixels do not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tryon_bench._shared.errors import DataError
from tryon_bench.flow import fit_flow, second_order

SIZE = (96, 72)


def pixel_grid() -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([(columns + 0.5) / SIZE[1], (rows + 0.5) / SIZE[0]], axis=2)


def shirt(at: np.ndarray) -> np.ndarray:
    """A T of 0..1 coordinates."""
    x, y = at[..., 0], at[..., 1]
    return ((np.abs(x - 0.5) < 0.2) & (y > 0.2) & (y < 0.85)) | ((np.abs(x - 0.5) < 0.4) & (y > 0.2) & (y < 0.45))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_shifted_and_bent_silhouette_is_covered() -> None:
    grid = pixel_grid()
    bent = grid + np.stack([0.05 * np.sin(3 * grid[..., 1]) - 0.02, np.full(SIZE, 0.04)], axis=2)
    target = shirt(bent)
    assert overlap(shirt(grid), target) < 0.8
    found = fit_flow(shirt(grid), target, grid)
    assert overlap(shirt(found), target) > 0.9
    assert np.abs(found - bent)[target].mean() < 0.6 * np.abs(grid - bent)[target].mean()


def test_the_same_pair_gives_the_same_flow_and_what_fits_already_stays() -> None:
    grid = pixel_grid()
    first, second = (fit_flow(shirt(grid), shirt(grid), grid) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - grid).max() < 0.01


def test_a_piece_that_an_arm_hides_does_not_pull() -> None:
    grid = pixel_grid()
    target, hidden = shirt(grid), np.zeros(SIZE, bool)
    hidden[50:60] = True
    target[50:60] = False
    free = np.abs(fit_flow(shirt(grid), target, grid, hidden) - grid).mean()
    assert free < 0.5 * np.abs(fit_flow(shirt(grid), target, grid) - grid).mean()


def test_the_penalty_knows_second_differences_only() -> None:
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="ij")
    straight = torch.stack([0.5 * rows - columns, 2 * columns])[None]
    assert float(second_order(straight)) == pytest.approx(0, abs=1e-4)
    assert float(second_order(straight + torch.stack([rows**2, rows])[None])) > 0.5


def test_masks_that_say_nothing_are_refused() -> None:
    grid = pixel_grid()
    with pytest.raises(DataError, match="empty or full"):
        fit_flow(np.zeros(SIZE, bool), shirt(grid), grid)
    with pytest.raises(DataError, match="expected a map"):
        fit_flow(shirt(grid), shirt(grid), grid[:5])
