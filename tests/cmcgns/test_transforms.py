"""Film -> tensor, and the way back for boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmcgns.transforms import film_tensor, mask_tensor, place_frame


@pytest.mark.parametrize("shape", [(64, 64), (90, 40), (31, 77), (1, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_film_becomes_a_square_tensor_between_minus_one_and_one(shape: tuple[int, int], channels: int) -> None:
    film = np.random.default_rng(0).random(shape, np.float32)
    tensor, _ = film_tensor(film, side_px=56, channels=channels, rng=np.random.default_rng(1))
    assert tensor.shape == (channels, 56, 56)
    assert tensor.dtype == torch.float32
    assert tensor.min() >= -1
    assert tensor.max() <= 1
    assert torch.equal(tensor[0], tensor[-1])


@pytest.mark.parametrize("shape", [(128, 128), (160, 96), (96, 160)])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_a_box_lands_where_its_pixels_land(shape: tuple[int, int], seed: int | None) -> None:
    film = np.zeros(shape, np.float32)
    height, width = shape
    film[height // 4 : height // 2, width // 4 : width // 2] = 1
    rng = None if seed is None else np.random.default_rng(seed)
    tensor, frame = film_tensor(film, side_px=112, channels=1, rng=rng)
    x0, y0, x1, y1 = (112 * v for v in frame.to_tensor((0.25, 0.25, 0.5, 0.5)))
    rows, columns = (torch.nonzero((tensor[0] > 0).any(axis)).flatten() for axis in (1, 0))
    assert abs(int(columns[0]) - x0) <= 1.5
    assert abs(int(columns[-1]) + 1 - x1) <= 1.5
    assert abs(int(rows[0]) - y0) <= 1.5
    assert abs(int(rows[-1]) + 1 - y1) <= 1.5


def test_the_crop_moves_with_the_generator_and_is_centred_without() -> None:
    frames = {place_frame(64, 64, side_px=56, rng=np.random.default_rng(s)) for s in range(8)}
    assert len(frames) > 1
    assert place_frame(64, 64, side_px=56, rng=None) == place_frame(64, 64, side_px=56, rng=None)


def test_a_mask_of_another_size_than_the_film_keeps_its_place() -> None:
    film, mask = np.zeros((64, 128), np.float32), np.zeros((256, 256), np.uint8)
    film[16:32, 32:64] = 1
    mask[64:128, 64:128] = 1
    tensor, frame = film_tensor(film, side_px=112, channels=1)
    moved = mask_tensor(mask, frame)
    overlap = ((tensor[0] > 0) & (moved > 0)).sum() / ((tensor[0] > 0) | (moved > 0)).sum()
    assert overlap > 0.9
