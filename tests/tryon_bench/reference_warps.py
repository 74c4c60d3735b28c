"""Warps and blends from their equations, with loops and full matrices: a second writing by another hand.

Thin-plate spline: Bookstein 1989, with the diagonal that Wahba 1990 adds. Poisson blending: Perez, Gangnet and Blake
2003, equations 7 and 13. End-point error: the files that `tryon-bench synth` writes, evaluated point by point.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def radial(squared: float) -> float:
    """U = r^2 log r^2, and its limit 0 at r = 0."""
    return squared * math.log(squared) if squared > 0 else 0.0


def spline_coefficients(targets: Array, sources: Array, regularisation: Array) -> tuple[Array, Array]:
    """Weights (n, 2) and affine part (3, 2) of [K + diag(lambda), P; P^T, 0] [w; a] = [q; 0]."""
    n = len(targets)
    matrix, right = np.zeros((n + 3, n + 3)), np.zeros((n + 3, 2))
    for i, (x, y) in enumerate(targets):
        for j, (u, v) in enumerate(targets):
            matrix[i, j] = radial((x - u) ** 2 + (y - v) ** 2)
        matrix[i, i] += regularisation[i]
        matrix[i, n:] = matrix[n:, i] = 1, x, y
        right[i] = sources[i]
    found = np.linalg.solve(matrix, right)
    return found[:n], found[n:]


def spline_value(centres: Array, weights: Array, affine: Array, at: Array) -> Array:
    """f(x) = a [1, x, y] + sum of w_i U(|x - p_i|) at one point."""
    value = affine[0] + at[0] * affine[1] + at[1] * affine[2]
    for centre, weight in zip(centres, weights, strict=True):
        value = value + weight * radial((at[0] - centre[0]) ** 2 + (at[1] - centre[1]) ** 2)
    return np.asarray(value)


def bending(targets: Array, weights: Array) -> float:
    """trace(w^T K w)."""
    return sum(
        float(weights[i] @ weights[j]) * radial(float(((targets[i] - targets[j]) ** 2).sum()))
        for i in range(len(targets))
        for j in range(len(targets))
    )


def blend(source: Array, target: Array, mask: NDArray[np.bool_], mixed: bool = False) -> Array:
    """(H, W) of one colour, not rounded: |N_p| f_p - sum of f_q inside = sum of f*_q outside + sum of v_pq."""
    height, width = mask.shape
    unknown = {(r, c): k for k, (r, c) in enumerate(np.argwhere(mask).tolist())}
    matrix, right = np.zeros((len(unknown), len(unknown))), np.zeros(len(unknown))
    for (r, c), k in unknown.items():
        for q in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
            if not (0 <= q[0] < height and 0 <= q[1] < width):
                continue
            step, other = source[r, c] - source[q], target[r, c] - target[q]
            matrix[k, k] += 1
            right[k] += other if mixed and abs(other) > abs(step) else step
            if q in unknown:
                matrix[k, unknown[q]] = -1
            else:
                right[k] += target[q]
    out = target.astype(float).copy()
    out[mask] = np.linalg.solve(matrix, right)
    return out


def relaxed(image: Array, hole: NDArray[np.bool_], sweeps: int = 4000) -> Array:
    """Laplace's equation another way: every pixel of the hole is the mean of its neighbours, again and again."""
    height, width = image.shape
    out = np.where(hole, image[~hole].mean(), image.astype(float))
    for _ in range(sweeps):
        for r, c in np.argwhere(hole):
            beside = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
            out[r, c] = np.mean([out[q] for q in beside if 0 <= q[0] < height and 0 <= q[1] < width])
    return out


def error_of_box(known: Path, worn: NDArray[np.bool_], garment: NDArray[np.bool_]) -> float:
    """Mean distance, px of the garment's photo, of box-to-box scaling from the spline of a `warp_gt` file.

    A pixel's place is its centre: column c of a width W is at (c + 0.5) / W.
    """
    with np.load(known, allow_pickle=False) as file:
        weights, affine = spline_coefficients(file["targets"], file["sources"], np.zeros(len(file["targets"])))
        centres = file["targets"]
    rows, columns = np.nonzero(worn)
    own_rows, own_columns = np.nonzero(garment)
    total = 0.0
    for r, c in zip(rows, columns, strict=True):
        truth = spline_value(
            centres, weights, affine, np.array([(c + 0.5) / worn.shape[1], (r + 0.5) / worn.shape[0]])
        )
        x, y = _scaled(c, columns, own_columns), _scaled(r, rows, own_rows)
        total += math.hypot(x - truth[0] * garment.shape[1], y - truth[1] * garment.shape[0])
    return total / len(rows)


def _scaled(at: int, occupied: NDArray[np.intp], own: NDArray[np.intp]) -> float:
    """The pixel centre `at`, from the span of the pixels that are occupied to the span of the garment's own."""
    share = (at + 0.5 - occupied.min()) / (occupied.max() + 1 - occupied.min())
    return float(own.min() + share * (own.max() + 1 - own.min()))
