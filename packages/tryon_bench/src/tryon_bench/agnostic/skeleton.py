"""Pictures of joints: OpenPose's coloured skeleton, and one map per joint."""

from __future__ import annotations

import colorsys
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .body import NECK, NOSE, found_joints
from .canvas import known

# COCO-18 bones from the neck outwards; bone i has the colour of hue i / 18, joint i likewise, as OpenPose draws them
BONES = (
    *((NECK, 2), (NECK, 5), (2, 3), (3, 4), (5, 6), (6, 7), (NECK, 8), (8, 9), (9, 10), (NECK, 11)),
    *((11, 12), (12, 13), (NECK, NOSE), (NOSE, 14), (14, 16), (NOSE, 15), (15, 17)),
)
COLOURS = tuple(tuple(round(255 * value) for value in colorsys.hsv_to_rgb(i / 18, 1, 1)) for i in range(18))
_BONE = 1 / 128  # width over height of the photo
_BONE_SHADE = 0.6  # bones are darker than joints, which lie on them
_SIGMA = 0.015  # of a heat map, over the height
_SQUARE = 11 / 256  # side over height: 11 px at 256 x 192


def draw_skeleton(pose: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """OpenPose's picture of one person on black; what touches a missing joint is left out.

    VITON-HD's own pictures show BODY_25 with feet; ours have the 18 joints of COCO, and a neck.

    Args:
        pose: (18, 2 or 3), px; NaN or (0, 0) where missing.
        size: (height, width), px.

    Returns:
        (H, W, 3) uint8.
    """
    image = Image.new("RGB", size[::-1])
    draw = ImageDraw.Draw(image)
    width = max(1, round(_BONE * size[0]))
    joints = found_joints(pose, size)
    for (start, end), colour in zip(BONES, COLOURS, strict=False):
        if known(joints[start], joints[end]):
            shade = tuple(round(_BONE_SHADE * value) for value in colour)
            draw.line([*map(float, joints[start]), *map(float, joints[end])], shade, width)
    for joint, colour in zip(joints, COLOURS, strict=True):
        if known(joint):
            draw.ellipse([*map(float, joint - width / 2), *map(float, joint + width / 2)], colour)
    return np.asarray(image)


def heat_maps(
    pose: NDArray[Any], size: tuple[int, int], kind: Literal["gaussian", "square"] = "gaussian"
) -> NDArray[np.float32]:
    """One map per joint.

    Args:
        pose: (18, 2 or 3), px; NaN or (0, 0) where missing.
        size: (height, width), px.
        kind: a Gaussian with a sigma of 1.5 % of the height (our choice), or a square of ones, 11 px wide at a height
            of 256, as VITON and CP-VTON feed it.

    Returns:
        (18, H, W) float32 in 0..1; all zero where a joint is missing.
    """
    height, width = size
    maps = np.zeros((18, height, width), np.float32)
    for index, (x, y) in enumerate(found_joints(pose, size)):
        if not np.isfinite(x + y):
            continue
        if kind == "gaussian":
            across, down = (
                np.exp(-0.5 * ((np.arange(n) - centre) / (_SIGMA * height)) ** 2)
                for n, centre in ((width, x), (height, y))
            )
        else:
            reach = _SQUARE * height / 2
            across, down = (
                np.abs(np.arange(n) - round(centre)) <= reach for n, centre in ((width, x), (height, y))
            )
        maps[index] = np.outer(down, across)
    return maps
