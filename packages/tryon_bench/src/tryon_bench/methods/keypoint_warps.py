"""Warps from landmarks: the best affine map, and a thin-plate spline through all that are seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..tps import ThinPlateSpline, fit_tps
from .baselines import box_map
from .catalogue import registered_warp
from .contour import spline_map
from .interface import Conditions, Image
from .landmarks import body_landmarks, garment_landmarks, matched_landmarks

_SIDES = ("left", "right")
_ANCHORS = ("neck", *(f"{side} {name}" for name in ("shoulder", "sleeve top", "hem") for side in _SIDES))
# Chosen on 32 synthetic persons at 256 x 192 (seed 0): 5.0 px of the garment's photo, 5.6 with 0.01 for all alike
_STIFFNESS = 0.05
_LOOSER = 5.0  # times, for joints and for points that may slide along an outline
_LOOSE = ("neck", "shoulder", "waist")


@registered_warp("affine")
def affine(person: Image, garment: Image, conditions: Conditions) -> NDArray[np.float64]:
    """The least-squares affine map of neck, shoulders, sleeves and hem corners.

    With fewer than three of these known on the person, the garment's box goes to the target's box, as in `copy_paste`.
    """
    body, shop = body_landmarks(conditions), garment_landmarks(conditions)
    names = [name for name in _ANCHORS if name in body and name in shop]
    size = (person.shape[0], person.shape[1])
    if len(names) < 3:
        return box_map(conditions)
    targets, sources = (np.stack([side[name] for name in names]) for side in (body, shop))
    design = np.concatenate([np.ones((len(names), 1)), targets], axis=1)
    solution, _, rank, _ = np.linalg.lstsq(design, sources, rcond=None)
    if rank < 3:
        return box_map(conditions)
    straight = ThinPlateSpline(np.zeros((0, 2)), np.zeros((0, 2)), solution)
    return spline_map(straight, size)


@registered_warp("tps_keypoints")
def tps_keypoints(person: Image, garment: Image, conditions: Conditions) -> NDArray[np.float64]:
    """A spline through up to 14 landmarks, regularised."""
    return spline_map(keypoint_spline(conditions), (person.shape[0], person.shape[1]))


def keypoint_spline(conditions: Conditions) -> ThinPlateSpline:
    """The spline from the person's frame to the garment's, both 0..1.

    Raises:
        DataError: fewer than four landmarks are known on both.
    """
    names, body, shop = matched_landmarks(conditions)
    loose = [name == "hem" or name.endswith(_LOOSE) for name in names]
    return fit_tps(body, shop, np.where(loose, _LOOSER * _STIFFNESS, _STIFFNESS))
