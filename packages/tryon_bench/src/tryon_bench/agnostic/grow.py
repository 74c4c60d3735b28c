"""Masks made larger or simpler: what recipes do after drawing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import binary_fill_holes, find_objects, gaussian_filter, label, maximum_filter1d
from scipy.spatial import ConvexHull, QhullError

from .canvas import Canvas, Mask


def widened(mask: Mask, radius: float) -> Mask:
    """The mask with everything within `radius` (chessboard distance, rounded to pixels) of it; cost without radius."""
    reach = round(radius)
    if reach < 1:
        return mask
    grown = maximum_filter1d(mask.view(np.uint8), 2 * reach + 1, axis=0, mode="constant")
    return maximum_filter1d(grown, 2 * reach + 1, axis=1, mode="constant").astype(bool)


def hulls(mask: Mask) -> Mask:
    """Each connected part filled up to its convex hull."""
    parts, _ = label(mask, np.ones((3, 3)))
    canvas = Canvas((mask.shape[0], mask.shape[1]))
    for index, window in enumerate(find_objects(parts), start=1):
        corners = _corners(parts[window] == index)
        try:
            outline = corners[ConvexHull(corners).vertices]
        except QhullError:  # all on one line: its own hull
            continue
        canvas.polygon(list(outline + np.array([window[1].start, window[0].start])))
    return mask | canvas.mask()


def _corners(part: Mask) -> np.ndarray:
    """First and last pixel of every row, (n, 2) x and y: the hull's corners are among them."""
    rows = np.flatnonzero(part.any(axis=1))
    first = part[rows].argmax(axis=1)
    last = part.shape[1] - 1 - part[rows, ::-1].argmax(axis=1)
    return np.concatenate([np.stack([first, rows], axis=1), np.stack([last, rows], axis=1)]).astype(float)


def blurred_over(mask: Mask, sigma: float, reach: float, threshold: float) -> Mask:
    """Where a blurred mask exceeds a threshold, which rounds its corners and widens it a little."""
    if sigma <= 0:
        return mask

    def blurred(part: Mask) -> Mask:
        return np.asarray(gaussian_filter(part.astype(np.float32), sigma, truncate=reach / sigma) >= threshold)

    return _around(mask, round(reach) + 1, blurred)


def largest_filled(mask: Mask) -> Mask:
    """The largest connected part, without holes."""

    def largest(part: Mask) -> Mask:
        parts, _ = label(binary_fill_holes(part))
        return np.asarray(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))

    return _around(mask, 0, largest)


def _around(mask: Mask, margin: int, change: Callable[[Mask], Mask]) -> Mask:
    """Change only the box around the mask: the rest of the photo costs nothing."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return mask
    box = np.s_[
        max(0, rows[0] - margin) : rows[-1] + margin + 1, max(0, columns[0] - margin) : columns[-1] + margin + 1
    ]
    result = np.zeros_like(mask)
    result[box] = change(mask[box])
    return result
