"""Axis-aligned resampling between a study's voxels and the network's window, exactly mirrored for the right breast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """Where the voxels of a network input lie in a study; rotations stay in the study's affine.

    Attributes:
        shape: (D, H, W) voxels of the input: slices (z), rows (y), columns (x).
        start: study index (x, y, z), fractional, of input voxel (0, 0, 0).
        step: study voxels per input voxel along x, y, z; negative x mirrors a right breast.
    """

    shape: tuple[int, int, int]
    start: tuple[float, float, float]
    step: tuple[float, float, float]

    def affine(self, study_affine: np.ndarray) -> np.ndarray:
        """(4, 4): input index (d, h, w) -> mm in RAS+ world coordinates."""
        to_study = np.eye(4)
        to_study[:3, :3] = np.diag(self.step)[:, ::-1]
        to_study[:3, 3] = self.start
        return study_affine @ to_study

    def sample(self, volume: np.ndarray) -> np.ndarray:
        """(..., X, Y, Z) -> (..., D, H, W) float32: linear, low-passed where it shrinks, 0 outside of the volume."""
        return _apply(volume, [_weights(*args) for args in zip(volume.shape[-3:], self._xyz(), strict=True)])

    def spread(self, array: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """(..., D, H, W) -> (..., X, Y, Z) of a study of `shape`: linear between input voxels, 0 outside of them."""
        weights = []
        for n, (count, start, step) in zip(shape, self._xyz(), strict=True):
            weights.append(_weights(count, (n, -start / step, 1 / step)))
        flipped = array.swapaxes(-1, -3)
        return _apply(flipped, weights).swapaxes(-1, -3)

    def _xyz(self) -> list[tuple[int, float, float]]:
        return list(zip(self.shape[::-1], self.start, self.step, strict=True))


def _weights(n_in: int, axis: tuple[int, float, float]) -> np.ndarray:
    """(n_out, n_in) matrix of a triangle filter, as wide as the step where that exceeds a voxel."""
    n_out, start, step = axis
    position = start + step * np.arange(n_out)
    width = max(1.0, abs(step))
    weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(n_in)) / width)
    inside = (position >= -0.5) & (position <= n_in - 0.5)
    total = weights.sum(1, keepdims=True)
    weights = np.where(inside[:, None] & (total > 0), weights / np.maximum(total, 1e-12), 0)
    return weights.astype(np.float32)


def _apply(volume: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    """(..., X, Y, Z) -> (..., Z', Y', X')."""
    out = np.asarray(volume, np.float32)
    out = np.einsum("...xyz,ax->...ayz", out, weights[0], optimize=True)
    out = np.einsum("...ayz,by->...abz", out, weights[1], optimize=True)
    out = np.einsum("...abz,cz->...cba", out, weights[2], optimize=True)
    return np.ascontiguousarray(out)
