"""The breasts in a study: drawn by the user, or found between skin and chest wall without a network.

The chest wall is a surface y(x, z) through the strongest sheet of intensity change (Frangi's filter, which the paper
cites, on the gradient towards the skin), found by dynamic programming. Everything is computed for a left breast; a
right one is the left breast of the mirrored study, so that mirroring a study swaps the two regions exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ._shared.errors import DataError
from .data.study import Side, Study
from .grids import Window

COARSE_MM = 4.0
VOLUME_ML = (40.0, 4000.0)  # a plausible breast
MIN_SLICES = 5  # fewer show no shape
_SEARCH_MM = (45.0, 10.0)  # chest wall below and above the level of the sternum
_BEND = 0.15  # cost of one voxel of bending, in units of the strongest sheet


@dataclass(frozen=True, eq=False)
class BreastRegion:
    """One breast in a study's voxels.

    Attributes:
        mask: (X, Y, Z) bool.
        source: "drawn" (the user's mask), "found" (chest wall and skin) or "whole" (nothing was found: the half
            volume of that side).
        problems: why the region should be looked at; empty where it is plausible.
    """

    mask: np.ndarray
    source: str
    problems: tuple[str, ...] = ()

    def box(self) -> np.ndarray:
        """(3, 2) first and last voxel along x, y, z."""
        axes = [np.flatnonzero(self.mask.any(tuple(a for a in range(3) if a != axis))) for axis in range(3)]
        return np.array([(a[0], a[-1]) for a in axes])


def find_breast(study: Study, side: Side) -> BreastRegion:
    """The region of one breast.

    Raises:
        DataError: the study's breast mask has no voxel of that side.
    """
    region = _region(study, side)
    thinnest = min(study.shape)
    if thinnest < MIN_SLICES and region.source != "drawn":
        return replace(region, problems=(*region.problems, f"only {thinnest} slices"))
    return region


def _region(study: Study, side: Side) -> BreastRegion:
    if study.breast_mask is not None:
        mask = study.breast_mask == (1 if side == "left" else 2)
        if not mask.any():
            raise DataError(f"breast mask: no voxel of the {side} breast (1 is left, 2 is right)")
        return BreastRegion(mask, "drawn")
    if study.meta.get("whole_image"):
        return BreastRegion(np.ones(study.shape, bool), "whole")
    pre, mirrored = study.phases[0], side == "right"
    region = _find_left(pre[::-1] if mirrored else pre, study.spacing_mm, single=len(study.sides) == 1)
    return BreastRegion(region.mask[::-1].copy(), region.source, region.problems) if mirrored else region


def _find_left(pre: np.ndarray, spacing_mm: tuple[float, float, float], *, single: bool) -> BreastRegion:
    window = _coarse_window(pre.shape, spacing_mm)
    coarse = np.log1p(window.sample(pre).swapaxes(0, 2).clip(0))  # (x, y, z), a bias field becomes an offset
    voxel_mm = np.array(spacing_mm) * np.array(window.step)
    body = _body(coarse)
    if body is None:
        return _whole(pre.shape, single, "no body found in the pre-contrast phase")
    middle = len(coarse) if single else _middle(body)
    wall = _chest_wall(coarse, body, voxel_mm, middle, single=single)
    y = np.arange(coarse.shape[1])[None, :, None]
    breast = body & (y > wall[:, None, :])
    breast[middle:] = False
    breast = _largest(ndimage.binary_opening(breast, np.ones((3, 3, 1))))
    mask = (
        window.spread(breast.astype(np.float32).swapaxes(0, 2), pre.shape) > 0.5 - 1e-3
    )  # ties, as in `preprocess`
    volume_ml = float(mask.sum() * np.prod(spacing_mm) / 1000)
    if not mask.any() or volume_ml < VOLUME_ML[0] / 4:
        return _whole(pre.shape, single, "no breast found, the whole side is used")
    if not VOLUME_ML[0] <= volume_ml <= VOLUME_ML[1]:
        return BreastRegion(mask, "found", (f"breast of {volume_ml:.0f} ml found",))
    return BreastRegion(mask, "found")


def _coarse_window(shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> Window:
    """A grid of about 4 mm (never finer than the study), symmetric about the study's middle."""
    step = np.maximum(1.0, COARSE_MM / np.array(spacing_mm))
    # The thousandth absorbs the rounding of spacings in file headers, which must not change the grid.
    counts = np.maximum(1, np.floor((np.array(shape) - 1) / step + 1.001)).astype(int)
    start = (np.array(shape) - 1 - step * (counts - 1)) / 2
    x, y, z = (int(n) for n in counts)
    a, b, c = (float(v) for v in start)
    return Window((z, y, x), (a, b, c), (float(step[0]), float(step[1]), float(step[2])))


def _body(coarse: np.ndarray) -> np.ndarray | None:
    """Tissue against air: Otsu's threshold on log intensities, the largest piece, holes filled slice by slice."""
    smooth = ndimage.gaussian_filter(coarse, 0.7)
    if not smooth.max() > smooth.min():
        return None
    body = _largest(smooth > _otsu(smooth))
    for z in range(body.shape[2]):
        body[:, :, z] = ndimage.binary_fill_holes(body[:, :, z])
    return body


def _otsu(values: np.ndarray) -> float:
    """The threshold with the largest variance between both sides."""
    counts, edges = np.histogram(values, 128)
    centers = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), counts.sum()
    first = np.cumsum(counts * centers)
    above = total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (first / below - (first[-1] - first) / above) ** 2
    return float(centers[np.nanargmax(between)])


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    return labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])


def _skin(body: np.ndarray) -> np.ndarray:
    """(X, Z) index of the foremost body voxel; -1 where there is none."""
    y = np.arange(body.shape[1])[None, :, None]
    return np.where(body, y, -1).max(1)


def _middle(body: np.ndarray) -> int:
    """Where the cleavage is: the lowest skin in the middle fifth."""
    profile = ndimage.gaussian_filter1d(_skin(body).max(1).astype(float), 1.0)
    low, high = int(0.4 * len(profile)), max(int(np.ceil(0.6 * len(profile))), int(0.4 * len(profile)) + 1)
    valley = np.flatnonzero(profile[low:high] == profile[low:high].min())
    return low + int(valley[len(valley) // 2])


def _chest_wall(
    coarse: np.ndarray, body: np.ndarray, voxel_mm: np.ndarray, middle: int, *, single: bool
) -> np.ndarray:
    """(X, Z) last index of the chest, counted from the back."""
    skin = _skin(body)
    seen = skin[skin >= 0]
    beside = skin[max(0, middle - 3) : middle + 4]
    beside = beside[beside >= 0]
    level = float(np.percentile(seen, 5)) if single or not beside.size else float(np.median(beside))
    edges = np.abs(ndimage.gaussian_filter1d(coarse, 1.0, axis=1, order=1))
    sheet = _sheetness(edges)
    place = (np.arange(coarse.shape[1]) - level) * voxel_mm[1]
    allowed = (place >= -_SEARCH_MM[0]) & (place <= _SEARCH_MM[1])
    if not allowed.any():
        allowed[np.argmin(np.abs(place))] = True
    prior = np.where(place < 0, -place / _SEARCH_MM[0], place / _SEARCH_MM[1])
    cost = -sheet / max(float(sheet.max()), 1e-9) + 0.3 * prior[None, :, None]
    cost[:, ~allowed] = 1e6
    return ndimage.median_filter(_cheapest_surface(cost), size=(5, 3))


def _sheetness(image: np.ndarray) -> np.ndarray:
    """Bright sheets: one strongly negative eigenvalue of the Hessian, the others small (Frangi 1998, plate form)."""
    hessian = np.empty((*image.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            order = [0, 0, 0]
            order[i] += 1
            order[j] += 1
            hessian[..., i, j] = hessian[..., j, i] = ndimage.gaussian_filter(image, 1.0, order=order)
    values = np.linalg.eigvalsh(hessian)
    strongest, second = values[..., 0], np.maximum(np.abs(values[..., 1]), np.abs(values[..., 2]))
    ratio = second / np.maximum(np.abs(strongest), 1e-9)
    return np.where(strongest < 0, -strongest * np.exp(-(ratio**2) / 0.5), 0)


def _cheapest_surface(cost: np.ndarray) -> np.ndarray:
    """(X, Y, Z) costs -> (X, Z) indices: the cheapest path along x in every slice, bending by at most 2 voxels."""
    count, height, depth = cost.shape
    total = cost[0].astype(np.float64)
    came = np.zeros((count, height, depth), np.int64)
    for x in range(1, count):
        padded = np.pad(total, ((2, 2), (0, 0)), constant_values=1e9)
        options = np.stack([padded[2 + d : 2 + d + height] + _BEND * abs(d) for d in (0, -1, 1, -2, 2)])
        best = options.argmin(0)
        came[x] = np.array([0, -1, 1, -2, 2])[best]
        total = options.min(0) + cost[x]
    surface = np.empty((count, depth), np.int64)
    surface[-1] = total.argmin(0)
    slices = np.arange(depth)
    for x in range(count - 1, 0, -1):
        surface[x - 1] = (surface[x] + came[x, surface[x], slices]).clip(0, height - 1)
    return surface


def _whole(shape: tuple[int, ...], single: bool, problem: str) -> BreastRegion:
    """Everything on the left of the middle; the whole volume where one breast is shown only."""
    mask = np.ones(shape, bool)
    if not single:
        mask[shape[0] // 2 :] = False
    return BreastRegion(mask, "whole", (problem,))
