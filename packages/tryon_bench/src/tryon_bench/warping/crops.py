"""A pair as the network sees it: two square crops around target and garment, so that size and place do not matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.keypoints import COCO18
from ..methods.baselines import box
from ..methods.interface import Conditions, Image
from ..resize import resize_floats

Plane = NDArray[np.float32]
Frame = tuple[float, float, float, float]

_MARGIN = 0.15  # of the box, on each side; the same for both crops, so that the identity takes box to box
# mirrored pairs first, so that flipping a sample swaps channels
_SIDES = ("shoulder", "elbow", "wrist", "hip")
JOINTS = ("neck", *(f"{side} {name}" for name in _SIDES for side in ("right", "left")))
_SPREAD = 0.05  # standard deviation of a joint's spot, in units of the crop
PERSON_CHANNELS = 3 + len(JOINTS)
GARMENT_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class Crops:
    """What the network sees, and what it is compared with.

    Attributes:
        person: (12, S, S) target, what lies in front of it, what else is kept, and a spot for each joint that is known.
        garment: (4, S, S) colours in [-1, 1], 0 outside of the garment, and its mask.
        person_frame: left, top, width and height of the person's crop, in 0..1 of the photo.
        garment_frame: the same on the garment's photo.
    """

    person: Plane
    garment: Plane
    person_frame: Frame
    garment_frame: Frame


def make_crops(garment: Image, conditions: Conditions, side_px: int) -> Crops:
    """Cut both crops out and bring them to size.

    Args:
        garment: (h, w, 3) uint8.
        conditions: masks and joints.
        side_px: of both crops.

    Raises:
        DataError: an empty mask.
    """
    person_frame = _frame(conditions.target, conditions.pair_id)
    garment_frame = _frame(conditions.garment_mask, conditions.pair_id)
    masks = [conditions.target, conditions.front, conditions.keep & ~conditions.front]
    planes = [cut(mask.astype(np.float32), person_frame, side_px) for mask in masks]
    mask = conditions.garment_mask.astype(np.float32)
    colours = np.moveaxis(garment / np.float32(127.5) - 1, 2, 0) * mask
    own = [cut(plane, garment_frame, side_px) for plane in (*colours, mask)]
    return Crops(
        np.stack([*planes, *_spots(conditions, person_frame, side_px)]).astype(np.float32),
        np.stack(own).astype(np.float32),
        person_frame,
        garment_frame,
    )


def cut(plane: NDArray[np.float32], frame: Frame, side_px: int) -> Plane:
    """A frame of a plane, (side_px, side_px); beyond the plane's border are zeros."""
    height, width = plane.shape
    left, top = round(frame[0] * width), round(frame[1] * height)
    right, bottom = round((frame[0] + frame[2]) * width), round((frame[1] + frame[3]) * height)
    inside = np.zeros((bottom - top, right - left), np.float32)
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = plane[rows, columns]
    return resize_floats(inside, (side_px, side_px)).clip(min(0.0, plane.min()), max(0.0, plane.max()))


def into_frame(points: NDArray[np.float64], frame: Frame) -> NDArray[np.float64]:
    """Points (..., 2) in 0..1 of an image, in 0..1 of a frame of it."""
    return (points - frame[:2]) / frame[2:]


def out_of_frame(points: NDArray[np.float64], frame: Frame) -> NDArray[np.float64]:
    """Points (..., 2) in 0..1 of a frame, in 0..1 of the image."""
    return points * frame[2:] + frame[:2]


def mirrored_person(person: Plane) -> Plane:
    """The person's crop from left to right: right joints become left ones."""
    swapped = [0, 1, 2, 3, *(3 + n for pair in range(len(_SIDES)) for n in (2 * pair + 2, 2 * pair + 1))]
    return np.ascontiguousarray(person[swapped][:, :, ::-1])


def _frame(mask: NDArray[np.bool_], pair_id: str) -> Frame:
    """The mask's box with a margin, whole pixels, in 0..1."""
    top, left, bottom, right = box(mask, pair_id)
    height, width = mask.shape
    w, h = (right - left) / width, (bottom - top) / height
    return left / width - _MARGIN * w, top / height - _MARGIN * h, w * (1 + 2 * _MARGIN), h * (1 + 2 * _MARGIN)


def _spots(conditions: Conditions, frame: Frame, side_px: int) -> list[Plane]:
    height, width = conditions.target.shape
    at = (np.arange(side_px, dtype=np.float32) + 0.5) / side_px
    spots = []
    for name in JOINTS:
        spot = np.zeros((side_px, side_px), np.float32)
        if conditions.keypoints is not None:
            x, y = into_frame(conditions.keypoints[COCO18.index(name), :2] / [width, height], frame)
            if np.isfinite([x, y]).all():
                spot = np.exp(-((at[:, None] - y) ** 2 + (at[None] - x) ** 2) / (2 * _SPREAD**2)).astype(
                    np.float32
                )
        spots.append(spot)
    return spots
