"""Classical warping, as before networks: a thin-plate spline from the outline of the garment to that of the target."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .._shared.errors import DataError
from ..metrics.regions import grown, shrunk
from ..tps import ThinPlateSpline, dense_map, fit_tps
from .catalogue import registered_warp
from .interface import Conditions, Image, Mask

Points = NDArray[np.float64]

POINTS = 60  # on each outline, a multiple of 3
# Stiffness of the first fit, by arc length, and of those that follow, by nearest points. Chosen on 12 synthetic persons
# at 160 x 120: mean end-point error 2.9 px; 3.5 without the later fits; 3.6 for scaling alone (`copy_paste`).
REGULARISATION = (1.0, 1.0, 0.5, 0.2, 0.1)
_KEPT = 0.9  # of the points, nearest first: neck and hem may be hidden by head and hands
_DENSE = 600  # points of the garment's outline among which the nearest is looked for
_ARM = 0.03  # of the height: half the width of an arm
_STEP = 8  # px of the dense map's grid


@registered_warp("tps_contour", version="3")
def tps_contour(person: Image, garment: Image, conditions: Conditions) -> NDArray[np.float64]:
    """Match the outlines of garment and target and fit a regularised spline."""
    return spline_map(contour_spline(conditions), (person.shape[0], person.shape[1]))


def spline_map(spline: Callable[[Points], Points], size: tuple[int, int]) -> NDArray[np.float64]:
    """A spline at every pixel; of large pictures on every eighth, with cubic interpolation between."""
    return dense_map(spline, size, _STEP if min(size) >= 16 * _STEP else 1)


def contour_spline(conditions: Conditions) -> ThinPlateSpline:
    """The spline from the target's frame to the garment's, both 0..1.

    Points are matched by arc length first; then the garment's nearest point under the spline so far takes over, for
    the 90 % that are nearest, while the spline gets softer (our choice, after iterated closest points).

    Raises:
        DataError: a mask without an outline.
    """
    target = outline(silhouette(conditions), POINTS, conditions.pair_id)
    source = outline(conditions.garment_mask, POINTS, conditions.pair_id)
    dense = outline(conditions.garment_mask, _DENSE, conditions.pair_id)
    tree = cKDTree(dense)
    spline = fit_tps(target, source, REGULARISATION[0])
    for stiffness in REGULARISATION[1:]:
        distance, index = tree.query(spline(target))
        near = distance <= np.quantile(distance, _KEPT)
        spline = fit_tps(target[near], dense[index][near], stiffness)
    return spline


def silhouette(conditions: Conditions) -> Mask:
    """Where the garment goes, with what an arm in front of it hides: its outline must not follow the arm."""
    radius = max(1, round(_ARM * conditions.target.shape[0]))
    closed = shrunk(grown(conditions.target, radius), radius)
    return conditions.target | (closed & conditions.front)


def outline(mask: Mask, count: int, pair_id: str) -> Points:
    """Points on the outline of a mask's largest part, clockwise from the top of its middle.

    The three stretches neck - right hem corner - left hem corner - neck get a third of the points each, equally
    spaced, so that corners meet corners whatever the lengths of the sleeves are. Lengths are measured in units of the
    mask's box: a skirt that hangs three times as low in its photo as on the person still matches (mean end-point error
    over 11 skirts of seed 0 at 256 x 192: 6.1 px, 7.6 in units of the frame, as much as `copy_paste`).

    Args:
        mask: (H, W).
        count: number of points, a multiple of 3.
        pair_id: for messages.

    Returns:
        (count, 2) x and y in 0..1 of the frame.

    Raises:
        DataError: nothing in the mask that has an outline.
    """
    points = closed_outline(mask, pair_id)
    top, right, left = corner_indices(points)
    points = np.roll(points, -top, axis=0)
    corner, extent = points.min(axis=0), np.ptp(points, axis=0)
    cuts = [0, (right - top) % len(points), (left - top) % len(points), len(points)]
    closed = (np.concatenate([points, points[:1]]) - corner) / extent
    stretches = [closed[a : b + 1] for a, b in pairwise(cuts)]
    return np.concatenate([_spaced(stretch, count // 3) for stretch in stretches]) * extent + corner


def closed_outline(mask: Mask, pair_id: str) -> Points:
    """The outline of a mask's largest part as it is traced, clockwise as seen, (n, 2) x and y in 0..1.

    Raises:
        DataError: nothing in the mask that has an outline.
    """
    from skimage.measure import find_contours

    contours = find_contours(np.pad(mask, 1).astype(float), 0.5)
    longest = max(contours, key=len, default=np.zeros((0, 2)))
    if len(longest) < 8:
        raise DataError(f"{pair_id}: a mask of a few pixels has no outline; the garment cannot be warped")
    rows, columns = longest[:-1].T  # closed: the last point is the first
    # find_contours counts pixel centres, and the mask was padded by one
    points = np.stack([(columns - 0.5) / mask.shape[1], (rows - 0.5) / mask.shape[0]], axis=1)
    return points if _signed_area(points) >= 0 else points[::-1]


def corner_indices(points: Points) -> tuple[int, int, int]:
    """Indices of the top of the middle and of the lower right and lower left corners, in this order clockwise."""
    middle = (points[:, 0].min() + points[:, 0].max()) / 2
    upper = points[:, 1] < (points[:, 1].min() + points[:, 1].max()) / 2
    top = int(np.argmin(np.abs(points[:, 0] - middle) + np.where(upper, 0, np.inf)))
    right, left = (int(np.argmax(points[:, 1] + side * points[:, 0])) for side in (0.5, -0.5))
    ordered = sorted((right, left), key=lambda index: (index - top) % len(points))
    return top, ordered[0], ordered[1]


def _spaced(stretch: Points, count: int) -> Points:
    """Points at equal distances along a polyline, its start included and its end not."""
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(stretch, axis=0), axis=1))])
    at = np.linspace(0, lengths[-1], count, endpoint=False)
    return np.stack([np.interp(at, lengths, stretch[:, axis]) for axis in range(2)], axis=1)


def _signed_area(points: Points) -> float:
    x, y = points.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
