"""Person mask and 33 landmarks of one photo, and how they become COCO-18.

MediaPipe tells persons from background and finds joints. It knows no garments: what it gives cannot replace a parse.
The package that carries the landmark models has no detector, so the first crop comes from the person mask and is then
refined by the model's own alignment points, as MediaPipe does from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._shared.errors import DataError
from .models import SIDE, PoseModel, pose_network, segmentation_network, sigmoid

Mask = NDArray[np.bool_]

LANDMARKS = 33
# COCO-18 but the neck, which is the middle of the shoulders: BlazePose's landmark of each joint
COCO18_FROM_LANDMARKS = (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
_CENTRE, _ABOVE = 33, 34  # alignment points: the middle of the hips, and a point on the circle around the body
_ROUNDS = 3
_MARGIN = 1.25  # side of the crop over the circle's diameter, as in MediaPipe
_EDGE = 0.02  # of the height
_PRESENT = 0.5
_SEEN = 0.5
_WITHIN = 0.5  # share of the seen joints that lie in the outline: all of the astronaut's, few of two side by side


@dataclass(frozen=True, eq=False)
class Pose:
    """Landmarks of one person.

    Attributes:
        landmarks: (33, 3) x and y in px of the photo, and z in the same unit, smaller is nearer.
        visibility: (33,) probability that the landmark is in the photo and not covered.
        score: probability that the crop shows a person.
    """

    landmarks: NDArray[np.float64]
    visibility: NDArray[np.float64]
    score: float

    def coco18(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """(18, 3) x, y and visibility as `read_keypoints` gives them: NaN where hidden or outside of the photo.

        Args:
            size: (height, width) of the photo, px.
        """
        points = np.concatenate([self.landmarks[:, :2], self.visibility[:, None]], axis=1)
        joints = points[list(COCO18_FROM_LANDMARKS)]
        joints[1] = (points[11] + points[12]) / 2
        joints[1, 2] = min(points[11, 2], points[12, 2])
        inside = ((joints[:, :2] >= 0) & (joints[:, :2] < [size[1], size[0]])).all(axis=1)
        joints[~inside | (joints[:, 2] < _SEEN)] = [np.nan, np.nan, 0.0]
        return joints


def person_mask(photo: NDArray[np.uint8], name: str = "photo") -> Mask:
    """Where MediaPipe's selfie segmentation sees a person.

    Args:
        photo: (H, W, 3) uint8.
        name: what messages call it.

    Returns:
        (H, W) bool; edges are those of a 256 x 256 map.

    Raises:
        DataError: the model has not been fetched, or it sees nobody.
    """
    small = _resized(photo, (SIDE, SIDE))
    probability = segmentation_network()(small)[0].reshape(SIDE, SIDE)
    height, width = photo.shape[:2]
    large = Image.fromarray(probability.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    mask = np.asarray(large) > _PRESENT
    if not mask.any():
        raise DataError(f"{name}: MediaPipe sees no person in it; give a parse and keypoints of yours")
    return mask


def estimate_pose(
    photo: NDArray[np.uint8], mask: Mask | None = None, model: PoseModel = "full", name: str = "photo"
) -> Pose:
    """Landmarks by MediaPipe's pose model.

    Args:
        photo: (H, W, 3) uint8, of one upright person: the model sees nobody lying or upside down, or sees them wrongly.
        mask: (H, W) the person; estimated where None.
        model: size of the network.
        name: what messages call the photo.

    Raises:
        DataError: the model has not been fetched, it is not sure of anybody, or joints and mask lie apart, as they do
            where several persons are in the photo.
    """
    mask = person_mask(photo, name) if mask is None else mask
    crop = _Crop.around(mask)
    for _ in range(_ROUNDS):
        pose, crop = _looked(photo, crop, model)
    if pose.score < _PRESENT:
        raise DataError(
            f"{name}: MediaPipe is not sure of a person in it ({pose.score:.2f}); give keypoints of yours"
        )
    within = _share_within(pose.coco18((mask.shape[0], mask.shape[1])), mask)
    if within < _WITHIN:
        raise DataError(
            f"{name}: only {within:.0%} of MediaPipe's joints lie in the person's outline; are there several persons? "
            "Give keypoints of yours, or cut the photo"
        )
    return pose


@dataclass(frozen=True)
class _Crop:
    """A square, possibly turned: centre and side in px, and the turn in radians."""

    x: float
    y: float
    side: float
    turn: float = 0.0

    @classmethod
    def around(cls, mask: Mask) -> _Crop:
        """Around a whole body; where the mask reaches the photo's lower edge, the hips are taken to be near it.

        The network believes in a whole body in its crop: one that ends at the waist would be squeezed into the torso.
        """
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        cut_off = rows[-1] >= (1 - _EDGE) * mask.shape[0]
        hips = float(rows[-1] if cut_off else (rows[0] + rows[-1]) / 2)
        reach = max(hips - rows[0], (columns[-1] - columns[0]) / 2)
        return cls((columns[0] + columns[-1]) / 2, hips, 2 * _MARGIN * float(reach))

    def to_photo(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) px of the network's input -> px of the photo."""
        local = (points / SIDE - 0.5) * self.side
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return local @ np.array([[cos, sin], [-sin, cos]]) + [self.x, self.y]

    def cut(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(side, side, 3) in 0..1, black outside of the photo."""
        scale, cos, sin = self.side / SIDE, np.cos(self.turn), np.sin(self.turn)
        a, b, d, e = scale * cos, -scale * sin, scale * sin, scale * cos
        half = SIDE / 2
        affine = (a, b, self.x - (a + b) * half, d, e, self.y - (d + e) * half)
        # Pillow's transform takes single pixels: a large photo is made smaller first
        shrink = max(1, int(scale))
        image = Image.fromarray(photo)
        if shrink > 1:
            image = image.reduce(shrink)
            affine = tuple(value / shrink for value in affine)
        cut = image.transform((SIDE, SIDE), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
        return np.asarray(cut, dtype=np.float32) / np.float32(255)


def _share_within(joints: NDArray[np.float64], mask: Mask) -> float:
    """Share of the seen joints that lie in the mask; 0 where none is seen."""
    seen = joints[np.isfinite(joints[:, 0]), :2].astype(int)
    return float(mask[seen[:, 1], seen[:, 0]].mean()) if len(seen) else 0.0


def _looked(photo: NDArray[np.uint8], crop: _Crop, model: PoseModel) -> tuple[Pose, _Crop]:
    """The pose in a crop, and the crop that fits it better."""
    outputs = pose_network(model)(crop.cut(photo))
    raw = outputs[0].reshape(-1, 5).astype(np.float64)
    points = crop.to_photo(raw[:, :2])
    visibility = sigmoid(raw[:LANDMARKS, 3]) * sigmoid(raw[:LANDMARKS, 4])
    depth = raw[:LANDMARKS, 2:3] * crop.side / SIDE
    pose = Pose(np.concatenate([points[:LANDMARKS], depth], axis=1), visibility, float(outputs[1].ravel()[0]))
    towards = points[_ABOVE] - points[_CENTRE]
    radius = float(np.hypot(*towards))
    if radius < 1:
        return pose, crop
    turn = float(np.arctan2(towards[1], towards[0]) + np.pi / 2)
    return pose, _Crop(points[_CENTRE, 0], points[_CENTRE, 1], 2 * _MARGIN * radius, turn)


def _resized(photo: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    image = Image.fromarray(photo).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32) / np.float32(255)
