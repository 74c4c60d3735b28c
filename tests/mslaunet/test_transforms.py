from __future__ import annotations

import numpy as np
import pytest
import torch

from mslaunet.config import AugmentConfig
from mslaunet.transforms import FILL, augment, window

STILL = AugmentConfig(rotate_degrees=0, scale=0, translate=0, gain=0, noise=0)


def _sample(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    image = np.linspace(-1, 1, height * width, dtype=np.float32).reshape(1, height, width)
    return image, (image[0] > 0).astype(np.uint8)


@pytest.mark.parametrize("size", [(20, 50), (64, 64), (100, 33), (1, 200)])
def test_window_has_the_training_size_and_keeps_image_and_mask_together(size: tuple[int, int]) -> None:
    image, mask = window(*_sample(*size), 32, np.random.default_rng(0))
    assert image.shape == (1, 32, 32)
    assert mask.shape == (32, 32)
    assert torch.equal(mask == 1, image[0] > 0)


def test_a_smaller_slice_is_centred_on_air() -> None:
    image, mask = window(*_sample(20, 20), 32, np.random.default_rng(0))
    assert image[0, :6].eq(FILL).all()
    assert mask[:6].eq(0).all()


def test_no_augmentation_is_the_identity() -> None:
    image, mask = window(*_sample(32, 32), 32, np.random.default_rng(0))
    out_image, out_mask = augment(image, mask, STILL, np.random.default_rng(1))
    assert torch.allclose(out_image, image, atol=1e-6)
    assert torch.equal(out_mask, mask)


def test_the_generator_alone_decides_the_augmentation() -> None:
    image, mask = window(*_sample(32, 32), 32, np.random.default_rng(0))
    draws = [augment(image, mask, AugmentConfig(), np.random.default_rng(s))[0] for s in (5, 5, 6)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_augmented_values_stay_in_range_and_labels_stay_labels() -> None:
    image, mask = window(*_sample(48, 48), 48, np.random.default_rng(0))
    config = AugmentConfig(rotate_degrees=40, noise=0.3, flip="both")
    for seed in range(10):
        out_image, out_mask = augment(image, mask * 7, config, np.random.default_rng(seed))
        assert out_image.min() >= -1
        assert out_image.max() <= 1
        assert set(out_mask.unique().tolist()) <= {0, 7}


def test_image_and_mask_move_together() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 24:44] = 1
    image = np.where(mask, 1.0, -1.0).astype(np.float32)[None]
    geometry_only = AugmentConfig(gain=0, noise=0)
    for seed in range(5):
        out_image, out_mask = augment(
            *window(image, mask, 64, np.random.default_rng(0)), geometry_only, np.random.default_rng(seed)
        )
        disagree = ((out_image[0] > 0) != (out_mask == 1)).float().mean()
        assert disagree < 0.02
