"""Augmentation is decided by its generator alone and moves whole voxels."""

from __future__ import annotations

import numpy as np

from breastmri.config import AugmentConfig
from breastmri.transforms import augment

X = np.random.default_rng(0).normal(size=(2, 4, 6, 6)).astype(np.float32)


def test_the_same_generator_gives_the_same_breast():
    config = AugmentConfig(noise=0.1)
    a, b, c = (augment(X, config, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_flips_and_shifts_move_voxels_and_nothing_else():
    flipped = augment(X, AugmentConfig(flip=1, shift_voxels=(0, 0, 0), gain=0), np.random.default_rng(0))
    np.testing.assert_array_equal(flipped, X[:, ::-1, ::-1, ::-1])
    shifted = augment(X, AugmentConfig(flip=0, shift_voxels=(3, 3, 3), gain=0), np.random.default_rng(5))
    assert set(np.unique(shifted)) <= {0.0, *np.unique(X)}
    assert not np.array_equal(shifted, X)


def test_the_input_is_left_alone():
    before = X.copy()
    augment(X, AugmentConfig(noise=0.5), np.random.default_rng(0))
    np.testing.assert_array_equal(X, before)
