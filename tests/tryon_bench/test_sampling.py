"""Batches of warps: as `tps.sample` and OpenCV, up to one gray level."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tryon_bench._shared.errors import DataError
from tryon_bench.sampling import warp_batch
from tryon_bench.tps import sample

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 40, 30, 3), dtype=np.uint8)
MAPS = RNG.uniform(-0.2, 1.2, (3, 21, 17, 2))


def test_a_batch_equals_its_images_one_by_one_and_opencv() -> None:
    found = warp_batch(IMAGES, MAPS, (255, 255, 255))
    assert found.shape == (3, 21, 17, 3)
    for image, where, warped in zip(IMAGES, MAPS, found, strict=True):
        assert np.abs(warped.astype(int) - sample(image, where, 255)).max() <= 1
        x, y = (where * [30, 40] - 0.5).astype(np.float32).transpose(2, 0, 1)
        theirs = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(255,) * 3)
        # OpenCV rounds positions to 1/32 px
        assert np.abs(warped.astype(int) - theirs).mean() < 2


def test_every_channel_has_its_own_value_beyond_the_frame() -> None:
    found = warp_batch(IMAGES, np.full((3, 1, 1, 2), 5.0), (7, 8, 9))
    assert found.reshape(3, 3).tolist() == [[7, 8, 9]] * 3


def test_the_identity_changes_nothing() -> None:
    rows, columns = np.mgrid[:40, :30]
    where = np.stack([(columns + 0.5) / 30, (rows + 0.5) / 40], axis=2)[None].repeat(3, axis=0)
    np.testing.assert_array_equal(warp_batch(IMAGES, where, (0, 0, 0)), IMAGES)


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(DataError, match="warp: expected images"):
        warp_batch(IMAGES, MAPS[:2], (0, 0, 0))
