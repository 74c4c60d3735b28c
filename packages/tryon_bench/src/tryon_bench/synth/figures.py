"""Drawn persons: a jittered skeleton, and the shapes of its body parts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Point = NDArray[np.float64]

# OpenPose BODY_25: x from the middle line and y from the top, both in units of the height; 0..14 and the feet.
_TEMPLATE = {
    **{0: (0.0, 0.115), 1: (0.0, 0.2), 2: (-0.105, 0.22), 5: (0.105, 0.22), 8: (0.0, 0.55)},
    **{9: (-0.07, 0.55), 10: (-0.08, 0.76), 11: (-0.08, 0.95), 12: (0.07, 0.55), 13: (0.08, 0.76)},
    **{14: (0.08, 0.95), 15: (-0.02, 0.1), 16: (0.02, 0.1), 17: (-0.045, 0.11), 18: (0.045, 0.11)},
    **{19: (0.1, 0.98), 20: (0.12, 0.975), 21: (0.07, 0.96), 22: (-0.1, 0.98), 23: (-0.12, 0.975)},
    24: (-0.07, 0.96),
}
# elbow and wrist relative to the shoulder, for the arm on the right of the picture
_ARMS = {
    "down": ((0.035, 0.15), (0.045, 0.29)),
    "bent": ((0.06, 0.14), (-0.05, 0.2)),
    "raised": ((0.1, 0.03), (0.12, -0.11)),
}
POSES = tuple(_ARMS)


@dataclass(frozen=True, eq=False)
class Figure:
    """A person without upper garment.

    Attributes:
        size: (height, width), px.
        joints: (25, 2) x and y, px; BODY_25.
        hidden: joints that a detector would have missed.
        pose: down, bent or raised.
        skin: RGB.
        trousers: RGB.
        hair: RGB.
    """

    size: tuple[int, int]
    joints: Point
    hidden: tuple[int, ...]
    pose: str
    skin: NDArray[np.float64]
    trousers: NDArray[np.float64]
    hair: NDArray[np.float64]


def draw_figure(size: tuple[int, int], pose: str, rng: np.random.Generator) -> Figure:
    """A person with joints jittered by 1 % of the height; now and then a wrist is hidden."""
    height, width = size
    arm = _ARMS[pose]
    points = dict(_TEMPLATE)
    for side, (shoulder, elbow, wrist) in ((-1, (2, 3, 4)), (1, (5, 6, 7))):
        x, y = points[shoulder]
        points[elbow] = (x + side * arm[0][0], y + arm[0][1])
        points[wrist] = (x + side * arm[1][0], y + arm[1][1])
    joints = np.array([points[i] for i in range(25)]) + rng.normal(0, 0.01, (25, 2)) * _spread()
    hidden = tuple(joint for joint in (4, 7) if rng.random() < 0.2)
    skin = np.array([224.0, 180, 150]) * rng.uniform(0.55, 1.0)
    return Figure(
        size,
        joints * height + [width / 2, 0],
        hidden,
        pose,
        skin,
        rng.uniform(30, 150, 3),
        rng.uniform(20, 110) * np.array([1.0, 0.8, 0.6]),
    )


def _spread() -> NDArray[np.float64]:
    """The head moves as one: its points are not jittered one by one."""
    free = np.ones((25, 1))
    free[[0, 15, 16, 17, 18]] = 0
    return free


def capsule(size: tuple[int, int], a: Point, b: Point, radius: float) -> Mask:
    """Pixels within `radius` of the line from a to b."""
    inside = np.zeros(size, bool)
    (left, top), (right, bottom) = np.minimum(a, b) - radius, np.maximum(a, b) + radius
    window = slice(max(0, int(top)), max(0, int(bottom) + 1)), slice(max(0, int(left)), max(0, int(right) + 1))
    rows, columns = np.indices(size, sparse=True)
    x, y = columns[:, window[1]] + 0.5 - a[0], rows[window[0]] + 0.5 - a[1]
    along = b - a
    share = ((x * along[0] + y * along[1]) / max(float(along @ along), 1e-9)).clip(0, 1)
    inside[window] = (x - share * along[0]) ** 2 + (y - share * along[1]) ** 2 <= radius**2
    return inside


def body_parts(figure: Figure) -> dict[str, Mask]:
    """Masks of the parts, by the names of the label tables; they overlap and are painted in this order."""
    size, joints, unit = figure.size, figure.joints, figure.size[0]

    def limb(*path: int, radius: float) -> Mask:
        pieces = [capsule(size, joints[a], joints[b], radius * unit) for a, b in pairwise(path)]
        return np.asarray(np.any(pieces, axis=0))

    top, chin = joints[0] - np.array([0, 0.015 * unit]), joints[0] + np.array([0, 0.02 * unit])
    return {
        "right leg": limb(9, 10, 11, radius=0.035),
        "left leg": limb(12, 13, 14, radius=0.035),
        "right shoe": limb(24, 22, radius=0.022),
        "left shoe": limb(21, 19, radius=0.022),
        "pants": limb(9, 10, radius=0.05) | limb(12, 13, radius=0.05) | limb(9, 12, radius=0.055),
        "torso skin": limb(1, 8, radius=0.06) | limb(2, 5, radius=0.03) | limb(0, 1, radius=0.028),
        "right arm": limb(2, 3, 4, radius=0.027),
        "left arm": limb(5, 6, 7, radius=0.027),
        "hair": capsule(size, top, chin, 0.062 * unit),
        "face": capsule(size, joints[0], chin, 0.047 * unit),
    }
