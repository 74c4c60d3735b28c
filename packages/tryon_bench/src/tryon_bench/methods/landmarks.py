"""Landmarks of a garment, on its shop photo and on the body: neck, shoulders, sleeve ends, armpits, waist and hem."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .._shared.errors import DataError
from ..data.keypoints import COCO18
from .contour import closed_outline, corner_indices, silhouette
from .interface import Conditions

Points = NDArray[np.float64]
Landmarks = dict[str, NDArray[np.float64]]

_HIDDEN = 0.015  # of the frame's height: an outline this close to an arm or to hair is that of the arm
_DEEP = (
    0.08  # of half the garment's width: an armpit, or a dress's waist, lies at least so far inside of its chord
)
_APART = 0.015  # of the frame: closer landmarks say the same twice, or contradict each other
# a person's right shoulder is on the picture's left
_SHOULDERS = {"left shoulder": "right shoulder", "right shoulder": "left shoulder"}
_HIPS = {"left shoulder": "right hip", "right shoulder": "left hip"}


def garment_landmarks(conditions: Conditions) -> Landmarks:
    """Landmarks by the shape of the garment's mask alone.

    Up to 14: neck, left and right shoulder, sleeve top, sleeve end, armpit, waist and hem corner, and the hem's middle;
    x and y in 0..1 of its photo. Left and right are those of the picture. A garment without sleeves has no sleeve tops,
    sleeve ends and armpits.

    Raises:
        DataError: a mask without an outline.
    """
    return _of_outline(closed_outline(conditions.garment_mask, conditions.pair_id))


def body_landmarks(conditions: Conditions) -> Landmarks:
    """The same landmarks where the garment goes.

    From the outline of the target, closed under the arms in front of it. Shoulders (of a skirt, the waistband's
    corners: hips) are the joints, moved to the nearest point of the outline, and the neck is its joint. A sleeve end,
    armpit or waist beside which an arm or hair lies is left out: the outline there is the arm's. Without joints,
    shoulders and neck are those of the outline, unless hidden.

    Returns:
        Name -> x and y in 0..1; only those that are known.

    Raises:
        DataError: a mask without an outline.
    """
    points = closed_outline(silhouette(conditions), conditions.pair_id)
    joints = _joints(conditions)
    skirt = conditions.category == "lower_body"
    placed = {} if skirt or "neck" not in joints else {"neck": joints["neck"]}
    tree = cKDTree(points)
    for name, joint in (_HIPS if skirt else _SHOULDERS).items():
        if joint in joints:
            placed[name] = points[tree.query(joints[joint])[1]]
    seen = {name: at for name, at in _of_outline(points).items() if _trusted(name) or not _hidden(at, conditions)}
    return seen | placed


def matched_landmarks(conditions: Conditions, least: int = 4) -> tuple[list[str], Points, Points]:
    """Landmarks that both sides have: their names, (n, 2) on the body and (n, 2) on the garment.

    Raises:
        DataError: fewer than `least`, or an outline is missing.
    """
    body, garment = body_landmarks(conditions), garment_landmarks(conditions)
    names: list[str] = []
    for name in garment:
        if name in body and all(_apart(side[name], side[other]) for side in (body, garment) for other in names):
            names.append(name)
    if len(names) < least:
        raise DataError(
            f"{conditions.pair_id}: {len(names)} landmarks ({', '.join(names) or 'none'}) are seen on garment and "
            f"person, expected {least}; give keypoints and a parse, or use tps_contour"
        )
    return names, np.stack([body[name] for name in names]), np.stack([garment[name] for name in names])


def _apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return float(np.hypot(*(a - b))) > _APART


def _trusted(name: str) -> bool:
    """Corners that an arm beside them does not hide: it comes out of the sleeve, and hangs above the hem."""
    return name.endswith(("hem", "sleeve top"))


def _of_outline(points: Points) -> Landmarks:
    """Landmarks of a closed outline, clockwise."""
    top, right, left = corner_indices(points)
    found = {"neck": points[top], "right hem": points[right], "left hem": points[left]}
    found["hem"] = _halfway(_between(points, right, left))
    found |= _side("right", _between(points, top, right))
    found |= _side("left", _between(points, left, top)[::-1])
    return found


def _side(side: str, path: Points) -> Landmarks:
    """Landmarks from the neck down to a hem corner."""
    outwards = 1 if side == "right" else -1
    end, deep = int(np.argmax(outwards * path[:, 0])), _DEEP * float(np.ptp(path[:, 0]))
    corner = int(np.argmax(-outwards * _offset(path[: end + 1])))
    found = {f"{side} shoulder": path[corner]}
    pit, depth = _deepest(path[end:], outwards)
    if depth > deep:
        found[f"{side} sleeve top"] = path[end]
        found[f"{side} sleeve end"] = path[end + int(np.argmax(path[end : end + pit + 1, 1]))]
        found[f"{side} armpit"] = path[end + pit]
        return found | {f"{side} waist": _halfway(path[end + pit :])}
    waist, depth = _deepest(path[corner:], outwards)
    return found | {f"{side} waist": path[corner + waist] if depth > deep else _halfway(path[corner:])}


def _deepest(path: Points, outwards: int) -> tuple[int, float]:
    """The point that lies farthest inside of the chord, and how far."""
    depth = outwards * _offset(path)
    return int(np.argmax(depth)), float(depth.max())


def _offset(path: Points) -> NDArray[np.float64]:
    """Signed distance from the chord between first and last point."""
    chord = path[-1] - path[0]
    length = max(float(np.hypot(*chord)), 1e-12)
    gap = path - path[0]
    return np.asarray((chord[0] * gap[:, 1] - chord[1] * gap[:, 0]) / length)


def _between(points: Points, first: int, last: int) -> Points:
    """Points from one index to a later one, around the end of the outline if need be."""
    n = len(points)
    return points[np.arange(first, last + (n if last < first else 0) + 1) % n]


def _halfway(path: Points) -> NDArray[np.float64]:
    """The point at half the length."""
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    return np.asarray(path[np.searchsorted(lengths, lengths[-1] / 2)])


def _hidden(at: NDArray[np.float64], conditions: Conditions) -> bool:
    height, width = conditions.front.shape
    radius = max(1, round(_HIDDEN * height))
    row, column = int(at[1] * height), int(at[0] * width)
    window = np.s_[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1]
    return bool(conditions.front[window].any())


def _joints(conditions: Conditions) -> Landmarks:
    """Joints that were found, x and y in 0..1."""
    if conditions.keypoints is None:
        return {}
    height, width = conditions.target.shape
    return {
        name: joint[:2] / [width, height]
        for name, joint in zip(COCO18, conditions.keypoints, strict=True)
        if np.isfinite(joint[:2]).all()
    }
