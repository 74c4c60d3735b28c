"""Laplacian pyramids: nothing changes where nothing is blended, and coarse structures fade over a longer way."""

from __future__ import annotations

import numpy as np
import pytest

from tryon_bench._shared.errors import DataError
from tryon_bench.pyramid import blend_pyramids

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(32, 32), (37, 51)])
@pytest.mark.parametrize("levels", [0, 1, 3])
def test_equal_pictures_and_full_or_empty_masks_change_nothing(size: tuple[int, int], levels: int) -> None:
    front, back = (RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(2))
    mask = RNG.random(size) < 0.5
    np.testing.assert_array_equal(blend_pyramids(front, front, mask, levels), front)
    np.testing.assert_array_equal(blend_pyramids(front, back, np.ones(size, bool), levels), front)
    np.testing.assert_array_equal(blend_pyramids(front, back, np.zeros(size, bool), levels), back)


def test_without_levels_it_pastes_and_with_more_the_seam_is_softer() -> None:
    dark, light = np.full((64, 64, 3), 40, np.uint8), np.full((64, 64, 3), 200, np.uint8)
    mask = np.arange(64)[None].repeat(64, axis=0) < 32
    seams = []
    for levels in (0, 1, 2, 3):
        row = blend_pyramids(light, dark, mask, levels)[32, :, 0].astype(int)
        assert row[0] == 200
        assert row[-1] == 40
        seams.append(np.abs(np.diff(row)).max())
    assert seams[0] == 160
    assert seams == sorted(seams, reverse=True)
    assert seams[3] < 40


def test_sizes_that_differ_are_refused() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(DataError, match="of one size"):
        blend_pyramids(image, image[:4], np.zeros((8, 8), bool), 1)
