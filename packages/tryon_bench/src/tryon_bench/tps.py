"""Thin-plate splines: the smooth map that takes given points to given points, with or without regularisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ._shared.errors import DataError

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ThinPlateSpline:
    """A map of the plane: f(x) = a [1, x, y] + sum_i w_i U(|x - p_i|) with U(r) = r^2 log r^2.

    Attributes:
        centres: (n, 2) the points p_i.
        weights: (n, 2) bending weights w_i.
        affine: (3, 2) rows for 1, x and y.
    """

    centres: Points
    weights: Points
    affine: Points

    def __call__(self, points: Points) -> Points:
        """Images of points, (m, 2) -> (m, 2)."""
        kernel = _kernel(points, self.centres)
        return np.asarray(kernel @ self.weights + _with_one(points) @ self.affine)

    @property
    def bending_energy(self) -> float:
        """trace(w^T K w): 0 for an affine map, large where a garment is crumpled to fit."""
        kernel = _kernel(self.centres, self.centres)
        return float(np.trace(self.weights.T @ kernel @ self.weights))


def fit_tps(targets: Points, sources: Points, regularisation: float | Points = 0.0) -> ThinPlateSpline:
    """The spline that maps `targets` to `sources`: a backward map, so that an image is sampled at f(target pixel).

    Solves [K + lambda I, P; P^T, 0] [w; a] = [sources; 0] with K_ij = U(|p_i - p_j|) and P = [1 x y]. Points that are
    an affine image of each other give exactly that map.

    Args:
        targets: (n, 2) points p_i, n >= 3, not on one line; of order 1, which is what `regularisation` is scaled for.
        sources: (n, 2) where they go.
        regularisation: lambda; 0 interpolates, large values tend to the best affine map. An array (n,) says point by
            point how little it is trusted.

    Raises:
        DataError: too few points, points on one line, or two equal ones.

    Example:
        >>> corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> fit_tps(corners, corners * 2 + 1)(np.array([[0.5, 0.25]])).round(9).tolist()
        [[2.0, 1.5]]
    """
    targets, sources = np.asarray(targets, np.float64), np.asarray(sources, np.float64)
    if targets.shape != sources.shape or targets.ndim != 2 or targets.shape[1] != 2 or len(targets) < 3:
        raise DataError(f"spline: expected two arrays (n, 2) with n >= 3, got {targets.shape} and {sources.shape}")
    n = len(targets)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _kernel(targets, targets) + np.diag(np.broadcast_to(regularisation, n))
    system[:n, n:] = _with_one(targets)
    system[n:, :n] = system[:n, n:].T
    if np.linalg.matrix_rank(system[:n, n:]) < 3 or len(np.unique(targets, axis=0)) < n:
        raise DataError("spline: the points lie on one line or two of them are equal; choose others")
    solution = np.linalg.solve(system, np.concatenate([sources, np.zeros((3, 2))]))
    return ThinPlateSpline(targets, solution[:n], solution[n:])


def control_grid(count: int) -> Points:
    """A regular grid of `count` x `count` points over 0..1, row by row: (count^2, 2)."""
    at = np.linspace(0, 1, count)
    return np.stack(np.meshgrid(at, at), axis=2).reshape(-1, 2)


def spline_basis(targets: Points, size: tuple[int, int]) -> Points:
    """The matrix that takes what `targets` go to, (n, 2), to the interpolating spline at every pixel centre.

    A spline is linear in its sources, so a network that predicts these needs one matrix product.

    Args:
        targets: (n, 2) in 0..1.
        size: (height, width), px.

    Returns:
        (height * width, n).
    """
    unit = np.eye(len(targets))
    columns = [
        dense_map(fit_tps(targets, unit[:, n : n + 2]), size).reshape(-1, 2) for n in range(0, len(targets) - 1, 2)
    ]
    if len(targets) % 2:
        columns.append(dense_map(fit_tps(targets, unit[:, -2:]), size).reshape(-1, 2)[:, 1:])
    return np.concatenate(columns, axis=1)


def dense_map(spline: Callable[[Points], Points], size: tuple[int, int], step: int = 1) -> NDArray[np.float64]:
    """The spline at every pixel centre of an image whose coordinates run over 0..1 in both directions.

    Args:
        spline: in those coordinates; any smooth map of points (m, 2) will do.
        size: (height, width), px.
        step: evaluate every so many pixels and interpolate by cubic splines; 1 is exact, 8 a hundred times faster.

    Returns:
        (height, width, 2): x and y, of the same unit.
    """
    height, width = size
    margin = 0 if step == 1 else 2 * step  # cubic splines know nothing beyond their last knots
    rows, columns = (np.arange(-margin, n + (margin and margin + 1), step) for n in size)
    grid = np.stack(np.meshgrid((columns + 0.5) / width, (rows + 0.5) / height), axis=2)
    values = spline(grid.reshape(-1, 2)).reshape(*grid.shape)
    if step == 1:
        return values
    across, along = (_cubic(n, step, margin) for n in size)
    return np.stack([across @ values[..., axis] @ along.T for axis in range(2)], axis=2)


@lru_cache(maxsize=8)
def _cubic(count: int, step: int, margin: int) -> Points:
    """Matrix of cubic spline interpolation from every `step`-th pixel to all: separable, so products will do."""
    knots = len(range(-margin, count + margin + 1, step))
    place = [(np.arange(count) + margin) / step]
    matrix = np.stack([map_coordinates(unit, place, order=3, mode="nearest") for unit in np.eye(knots)], axis=1)
    matrix.setflags(write=False)  # it is shared
    return np.asarray(matrix)


def sample(image: NDArray[np.uint8], where: NDArray[np.float64], outside: int) -> NDArray[np.uint8]:
    """An image at fractional positions, bilinear.

    Args:
        image: (H, W, 3) or (H, W) uint8.
        where: (h, w, 2): x and y in 0..1.
        outside: value beyond the frame.

    Returns:
        (h, w, 3) or (h, w) uint8.
    """
    height, width = image.shape[:2]
    place = [where[..., 1] * height - 0.5, where[..., 0] * width - 0.5]
    planes = image[..., None] if image.ndim == 2 else image
    sampled = [
        map_coordinates(planes[..., c].astype(np.float32), place, order=1, mode="grid-constant", cval=outside)
        for c in range(planes.shape[2])
    ]
    out = np.stack(sampled, axis=2).round().clip(0, 255).astype(np.uint8)
    return out[..., 0] if image.ndim == 2 else out


def cut_out(
    garment: NDArray[np.uint8], mask: NDArray[np.bool_], where: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A garment on white at a backward map, (h, w, 3), and where it lies, (h, w)."""
    return sample(garment, where, 255), sample(mask.astype(np.uint8) * 255, where, 0) >= 128


def _kernel(a: Points, b: Points) -> Points:
    squared = (a[:, :1] - b[:, 0]) ** 2 + (a[:, 1:] - b[:, 1]) ** 2
    return squared * np.log(np.maximum(squared, 1e-300))


def _with_one(points: Points) -> Points:
    return np.concatenate([np.ones((len(points), 1)), points], axis=1)
