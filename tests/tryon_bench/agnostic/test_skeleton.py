"""Pictures of joints show what was found, in OpenPose's colours, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tryon_bench.agnostic.skeleton import BONES, COLOURS, draw_skeleton, heat_maps

SIZE = (256, 192)


def spread() -> np.ndarray:
    grid = np.stack(np.meshgrid(np.linspace(20, 170, 6), np.linspace(20, 230, 3)), axis=2).reshape(18, 2)
    return np.concatenate([grid, np.ones((18, 1))], axis=1)


def test_every_joint_has_its_colour() -> None:
    pose = spread()
    picture = draw_skeleton(pose, SIZE)
    for (x, y, _), colour in zip(pose, COLOURS, strict=True):
        assert tuple(picture[round(y), round(x)]) == colour
    assert len(BONES) == 17
    assert COLOURS[:4] == ((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0))


@pytest.mark.parametrize("missing", [np.nan, 0.0])
def test_a_missing_joint_takes_its_bones_with_it(missing: float) -> None:
    pose = spread()
    pose[4, :2] = missing
    picture = draw_skeleton(pose, SIZE)
    whole = draw_skeleton(spread(), SIZE)
    assert (picture != whole).any()
    assert not picture[:5, :5].any()
    assert draw_skeleton(np.full((18, 3), np.nan), SIZE).max() == 0


@pytest.mark.parametrize("far", [5e3, 1e9, 1e300, -np.inf])
def test_a_joint_far_away_is_missing_and_costs_no_time(far: float) -> None:
    pose, without = spread(), spread()
    pose[4, :2], without[4] = far, np.nan
    np.testing.assert_array_equal(draw_skeleton(pose, SIZE), draw_skeleton(without, SIZE))
    assert heat_maps(pose, SIZE)[4].max() == 0


def test_heat_maps_peak_at_their_joint() -> None:
    pose = spread()
    pose[7] = np.nan
    maps = heat_maps(pose, SIZE)
    assert maps.shape == (18, *SIZE)
    assert maps.dtype == np.float32
    for index, (x, y, _) in enumerate(pose):
        if index != 7:
            row, column = np.unravel_index(maps[index].argmax(), SIZE)
            assert abs(row - y) <= 1
            assert abs(column - x) <= 1
    assert maps[7].max() == 0


def test_squares_are_eleven_pixels_wide_at_the_size_of_viton() -> None:
    maps = heat_maps(spread(), SIZE, "square")
    assert set(np.unique(maps)) == {0.0, 1.0}
    assert maps[8].sum() == 11 * 11
