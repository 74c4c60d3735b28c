"""Cells to millimetres: planted blobs, flips, peaks, up-sampling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from breastmri._shared.errors import DataError
from breastmri.geometry import CellGrid, distance_mm, find_peaks, half_max_centroid, to_mm, to_voxels


def blob(shape, center, sigma=1.5):
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return np.exp(-sum((a - c) ** 2 for a, c in zip(axes, center, strict=True)) / (2 * sigma**2))


def test_centroid_of_a_blob_is_its_centre_to_a_fraction_of_a_cell():
    found = half_max_centroid(blob((12, 14, 16), (5.3, 6.6, 7.2)))
    assert np.abs(found - (5.3, 6.6, 7.2)).max() < 0.2


def test_only_the_region_of_the_maximum_counts():
    cells = blob((10, 10, 20), (5, 5, 4)) + 0.8 * blob((10, 10, 20), (5, 5, 15))
    assert np.abs(half_max_centroid(cells) - (5, 5, 4)).max() < 0.1


def test_a_constant_added_changes_nothing_and_a_flat_map_points_to_the_middle():
    cells = blob((8, 8, 8), (2, 3, 4))
    np.testing.assert_allclose(half_max_centroid(cells + 7), half_max_centroid(cells))
    assert half_max_centroid(np.ones((3, 5, 7))).tolist() == [1, 2, 3]


def test_a_map_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match="expected a finite map"):
        half_max_centroid(np.full((2, 2, 2), np.nan))


def test_peaks_are_apart_in_millimetres_and_hottest_first():
    spacing = np.diag([6.0, 4.0, 4.0, 1.0])
    cells = (
        blob((10, 20, 20), (5, 5, 5)) + 0.7 * blob((10, 20, 20), (5, 5, 9)) + 0.4 * blob((10, 20, 20), (5, 15, 15))
    )
    near = find_peaks(cells, spacing, radius_mm=10)
    assert [np.round(p.center_mm).tolist() for p in near] == [[30, 20, 20], [30, 20, 36], [30, 60, 60]]
    assert [p.score for p in near] == sorted((p.score for p in near), reverse=True)
    far = find_peaks(cells, spacing, radius_mm=20)
    assert [np.round(p.center_mm).tolist() for p in far] == [[30, 20, 20], [30, 60, 60]]
    assert len(find_peaks(cells, spacing, radius_mm=1, max_count=1)) == 1
    assert find_peaks(np.ones((3, 3, 3)), spacing) == []


def test_grid_of_flipped_maps_is_the_mean_of_both():
    grid, n, m = (
        CellGrid(
            (4.0, 4.0, 4.0),
            (0.0, 1.0, 2.0),
        ),
        (33, 32, 30),
        (9, 8, 8),
    )
    both = CellGrid.centred(grid.stride, n, m)
    for axis in range(3):
        for i in (0, m[axis] - 1):
            straight = grid.offset[axis] + 4 * i
            flipped = n[axis] - 1 - (grid.offset[axis] + 4 * (m[axis] - 1 - i))
            assert both.offset[axis] + 4 * i == pytest.approx((straight + flipped) / 2)


@pytest.mark.parametrize("offset", [0.0, 7.5, 15.5])
def test_upsampling_keeps_the_centre_of_an_inner_cell_where_the_common_zoom_shifts_it(offset):
    cells = np.zeros((4, 4, 4))
    cells[2, 1, 1] = 1
    grid = CellGrid((32.0, 32.0, 32.0), (offset,) * 3)
    up = to_voxels(cells, grid, (128, 128, 128))
    expected = grid.affine()[:3, :3] @ (2, 1, 1) + offset
    assert np.abs(np.array(ndimage.center_of_mass(up)) - expected).max() < 0.01
    wrong = np.array(ndimage.center_of_mass(ndimage.zoom(cells, 32, order=1)))
    assert np.abs(wrong - (79.5, 47.5, 47.5)).max() > 4


def test_affines_chain_to_millimetres():
    affine = np.array([[0, 0, -2.0, 10], [0, 3, 0, 0], [5, 0, 0, -1], [0, 0, 0, 1]])
    grid = CellGrid((2.0, 4.0, 4.0), (0.5, 1.5, 1.5))
    index = np.array([1.0, 2.0, 3.0])
    assert to_mm(affine @ grid.affine(), index) == pytest.approx(to_mm(affine, [2.5, 9.5, 13.5]))
    assert distance_mm((0, 0, 0), (3, 4, 0)) == 5
