from __future__ import annotations

import numpy as np
import pytest
import torch

from mslaunet.augmentations import UNIT, Range, affine_grid, clinicdb, synapse, transunet, warp
from mslaunet.compat import NOISE_FOR_255
from mslaunet.config import AugmentConfig
from mslaunet.transforms import augment


def _sample(height: int = 48, width: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    row, column = np.mgrid[:height, :width]
    mask = (np.hypot(row - height / 2, column - width / 2) < height / 4).astype(np.int64) * 3
    return torch.from_numpy(np.where(mask > 0, 0.8, -0.6).astype(np.float32))[None], torch.from_numpy(mask)


@pytest.mark.parametrize("kind", ["synapse", "clinicdb", "transunet", "sound", "none"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_keeps_type_range_labels_and_is_decided_by_the_generator(kind: str, channels: int) -> None:
    image, mask = _sample(64, 64)
    image = image.repeat(channels, 1, 1)
    config = AugmentConfig(kind=kind)
    differ = False
    for seed in range(12):
        first, second = (augment(image, mask, config, np.random.default_rng(seed)) for _ in range(2))
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])
        assert first[0].shape == image.shape
        assert first[0].dtype == torch.float32
        assert first[1].dtype == torch.int64
        assert first[0].abs().max() <= 1 + 1e-5
        assert set(first[1].unique().tolist()) <= {0, 3}
        differ |= not torch.equal(first[0], image)
    assert differ == (kind != "none")


@pytest.mark.parametrize("function", [clinicdb, transunet])
def test_mask_and_image_move_together(function) -> None:
    image, mask = _sample(64, 64)
    for seed in range(20):
        moved, labels = function(image, mask, np.random.default_rng(seed), UNIT)
        seen = moved[0] > 0.1
        holes = moved[0] == -1  # coarse dropout blackens the image only
        assert ((seen != (labels == 3)) & ~holes).float().mean() < 0.02


def test_the_official_noise_leaves_the_range_and_ours_does_not() -> None:
    """T4: standard deviation 1.275 on a [0, 1] image."""
    image, mask = _sample()
    spreads = {}
    for name, sd in (("sound", 0.01), ("official", 2 * NOISE_FOR_255)):
        noisy = []
        for seed in range(200):
            out, labels = synapse(image, mask, np.random.default_rng(seed), UNIT, noise_sd=sd)
            noisy.append((out.min().item(), out.max().item()))
            assert labels.unique().tolist() in ([0], [3], [0, 3])
        spreads[name] = (min(low for low, _ in noisy), max(high for _, high in noisy))
    assert spreads["sound"] == pytest.approx((-1, 0.9), abs=0.11)
    assert spreads["official"][0] < -6
    assert spreads["official"][1] > 6


def test_what_lies_outside_is_black_and_background() -> None:
    image, mask = _sample()
    grid = affine_grid(np.eye(2), (1000.0, 0.0), mask.shape)
    moved, labels = warp(image, mask + 2, grid, torch.tensor([[[-0.9]]]))
    assert torch.allclose(moved, torch.full_like(moved, -0.9))
    assert labels.max() == 0


def test_the_identity_grid_changes_nothing_on_any_shape() -> None:
    image, mask = _sample(37, 64)
    moved, labels = warp(image, mask, affine_grid(np.eye(2), (0.0, 0.0), mask.shape), torch.tensor([[[-1.0]]]))
    assert torch.allclose(moved, image, atol=1e-5)
    assert torch.equal(labels, mask)


def test_a_shift_is_in_pixels_and_to_the_right() -> None:
    image, mask = _sample()
    moved, labels = warp(image, mask, affine_grid(np.eye(2), (5.0, 0.0), mask.shape), torch.tensor([[[-1.0]]]))
    assert torch.equal(labels[:, 5:], mask[:, :-5])
    assert torch.allclose(moved[..., 5:], image[..., :-5], atol=1e-4)


def test_limits_of_a_25d_input_repeat_those_of_the_image() -> None:
    low, high = Range((-2.0, -1.0), (2.0, 3.0)).tensors(6)
    assert low.ravel().tolist() == [-2, -1] * 3
    assert high.ravel().tolist() == [2, 3] * 3
