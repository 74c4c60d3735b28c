"""Poisson blending: identity, agreement with a dense reference, both solvers, harmonic filling."""

from __future__ import annotations

import numpy as np
import pytest

from tryon_bench import poisson
from tryon_bench._shared.errors import DataError
from tryon_bench.poisson import harmonic_fill, poisson_blend

RNG = np.random.default_rng(0)
SHAPE = (24, 19)
MASK = np.zeros(SHAPE, bool)
MASK[4:20, 3:15] = True
MASK[10:13, 6:9] = False  # a hole in the hole
MASK[0:6, 16:19] = True  # a second piece, at the frame


def noise() -> np.ndarray:
    return RNG.integers(60, 190, (*SHAPE, 3), dtype=np.uint8)


def dense_reference(source: np.ndarray, target: np.ndarray, mask: np.ndarray, mixed: bool) -> np.ndarray:
    """Equation 7 of the paper pixel by pixel, solved as a full matrix."""
    places = [tuple(place) for place in np.argwhere(mask)]
    number = {place: i for i, place in enumerate(places)}
    a, b = np.zeros((len(places),) * 2), np.zeros((len(places), 3))
    s, t = source.astype(float), target.astype(float)
    for (r, c), i in number.items():
        for q in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
            if not (0 <= q[0] < mask.shape[0] and 0 <= q[1] < mask.shape[1]):
                continue
            a[i, i] += 1
            v, w = s[r, c] - s[q], t[r, c] - t[q]
            b[i] += np.where(np.abs(w) > np.abs(v), w, v) if mixed else v
            if q in number:
                a[i, number[q]] -= 1
            else:
                b[i] += t[q]
    out = t.copy()
    out[mask] = np.linalg.solve(a, b)
    return out.clip(0, 255)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("limit", [poisson.DIRECT_LIMIT, 10])
def test_both_solvers_agree_with_the_equations_pixel_by_pixel(
    mixed: bool, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poisson, "DIRECT_LIMIT", limit)
    source, target = noise(), noise()
    found = poisson_blend(source, target, MASK, mixed).astype(float)
    assert np.abs(found - dense_reference(source, target, MASK, mixed)).max() <= 0.51  # rounded to gray levels
    np.testing.assert_array_equal(found[~MASK], target[~MASK])


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("limit", [poisson.DIRECT_LIMIT, 10])
def test_identical_pictures_come_back_exactly(mixed: bool, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poisson, "DIRECT_LIMIT", limit)
    image = RNG.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(poisson_blend(image, image, MASK, mixed), image)


def test_a_source_that_is_brighter_by_a_constant_takes_the_targets_light() -> None:
    image = noise()
    np.testing.assert_array_equal(poisson_blend(image + np.uint8(50), image, MASK), image)


@pytest.mark.parametrize("fine", [0, 10**6])
def test_cells_of_either_size_change_the_time_and_not_the_answer(
    fine: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (150, 141)
    source, target = (RNG.integers(60, 190, (*size, 3), dtype=np.uint8) for _ in range(2))
    mask = np.zeros(size, bool)
    mask[5:140, 7:130] = True
    monkeypatch.setattr(poisson, "DIRECT_LIMIT", 10**6)
    direct = poisson_blend(source, target, mask).astype(int)
    monkeypatch.setattr(poisson, "DIRECT_LIMIT", 6000)
    monkeypatch.setattr(poisson, "_FINE_CELLS", fine)
    assert np.abs(poisson_blend(source, target, mask) - direct).max() <= 1


def test_harmonic_filling_continues_a_slope_and_stays_between_the_borders_values() -> None:
    slope = np.repeat(np.arange(20, 230, 10, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(15, axis=0)
    hole = np.zeros((15, 21), bool)
    hole[3:11, 4:17] = True
    np.testing.assert_array_equal(harmonic_fill(np.where(hole[..., None], 0, slope).astype(np.uint8), hole), slope)
    image = noise()
    filled = harmonic_fill(image, MASK)
    assert filled.min() >= image[~MASK].min()
    assert filled.max() <= image[~MASK].max()


def test_what_cannot_be_blended_is_refused_and_an_empty_mask_is_the_target() -> None:
    image = noise()
    with pytest.raises(DataError, match="covers the whole picture"):
        poisson_blend(image, image, np.ones(SHAPE, bool))
    with pytest.raises(DataError, match="blend: expected two pictures"):
        poisson_blend(image, image[:5], MASK)
    np.testing.assert_array_equal(poisson_blend(image, image[::-1], np.zeros(SHAPE, bool)), image[::-1])
