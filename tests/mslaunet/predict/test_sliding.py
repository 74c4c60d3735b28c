from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mslaunet.predict.sliding import SlidingWindow, gaussian, window_starts


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 48), st.floats(0, 0.9))
def test_stitching_the_identity_is_the_identity_for_any_size(
    height: int, width: int, side: int, overlap: float
) -> None:
    planes = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height))
    assert torch.allclose(SlidingWindow(lambda x: x, side, overlap)(planes), planes, atol=1e-5)


@given(st.integers(1, 500), st.integers(1, 100), st.floats(0, 0.9))
def test_windows_cover_everything_and_stay_inside(length: int, side: int, overlap: float) -> None:
    starts = window_starts(length, side, overlap)
    covered = {pixel for start in starts for pixel in range(start, min(start + side, length))}
    assert covered == set(range(length))
    assert max(starts) + min(side, length) <= length


def test_windows_never_exceed_their_side() -> None:
    seen = []
    SlidingWindow(lambda x: (seen.append(tuple(x.shape[-2:])), x)[1], 32)(torch.zeros(1, 1, 70, 20))
    assert set(seen) == {(32, 20)}


def test_a_pixel_is_decided_by_the_window_in_whose_middle_it_lies() -> None:
    calls = iter([0.0, 1.0])
    blended = SlidingWindow(lambda x: torch.full_like(x, next(calls)), 32, 0.5)(torch.zeros(1, 1, 1, 48))[0, 0, 0]
    assert blended[16] < 0.2  # the middle of the first window
    assert blended[31] > 0.8  # the middle of the second
    assert blended[23:25].mean() == pytest.approx(0.5, abs=1e-5)  # half way


def test_weights_fall_from_the_centre_and_never_vanish() -> None:
    weights = gaussian(33)
    assert weights.argmax() == 16
    assert weights.max() == 1
    assert weights.min() > 0
