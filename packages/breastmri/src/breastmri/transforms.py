"""Random transforms of a breast's channels, decided by the generator alone."""

from __future__ import annotations

import numpy as np

from .config import AugmentConfig


def augment(array: np.ndarray, config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """A transformed copy of channels (C, D, H, W); always the same number of draws, whatever is switched on.

    Example:
        >>> still = AugmentConfig(flip=0, shift_voxels=(0, 0, 0), gain=0)
        >>> x = np.arange(8.0, dtype=np.float32).reshape(1, 2, 2, 2)
        >>> bool((augment(x, still, np.random.default_rng(0)) == x).all())
        True
    """
    flips = rng.random(3) < config.flip
    shifts = [int(rng.integers(-most, most + 1)) for most in config.shift_voxels]
    gain = 1 + config.gain * rng.uniform(-1, 1)
    x = np.flip(array, tuple(axis + 1 for axis in range(3) if flips[axis]))
    x = _shifted(x, shifts) * np.float32(gain)
    if config.noise:
        x = x + config.noise * rng.standard_normal(x.shape, dtype=np.float32)
    return np.ascontiguousarray(x, dtype=np.float32)


def _shifted(x: np.ndarray, shifts: list[int]) -> np.ndarray:
    """Moved by whole voxels along the last three axes, zeros where nothing came from."""
    moved = np.zeros_like(x)
    source, target = [slice(None)], [slice(None)]
    for shift, n in zip(shifts, x.shape[1:], strict=True):
        source.append(slice(max(0, -shift), n - max(0, shift)))
        target.append(slice(max(0, shift), n - max(0, -shift)))
    moved[tuple(target)] = x[tuple(source)]
    return moved
