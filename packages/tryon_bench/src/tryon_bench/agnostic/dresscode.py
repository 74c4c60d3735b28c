"""The recipes of DressCode and LaDI-VTON: the garment's labels and a band along the arms, widened.

Written from the description in our notes of aimagelab/dress-code and miccunifi/ladi-vton.
"""

from __future__ import annotations

import numpy as np

from .body import ARMS, LEFT_SHOULDER, RIGHT_SHOULDER
from .canvas import Canvas, Mask, known
from .grow import widened
from .subject import ARMS as ARM_LABELS
from .subject import BOTTOMS, DRESSES, LEGS, NECK_SKIN, SHOES, TOPS, Subject

_HEAD = ("hat", "hair", "sunglasses", "face")
_FIXED = ("hair", *SHOES, "hat", "sunglasses", "scarf", "bag")
_FIXED_BY_CATEGORY = {"upper_body": BOTTOMS, "lower_body": (*TOPS, *ARM_LABELS), "dresses": ()}
_BELOW_SHOULDERS = 40.0  # px at a height of 1024: how far above the shoulders' line the head ends


def dresscode(subject: Subject) -> Mask:
    """DressCode: arms 30 px wide at a height of 512, everything widened by five squares of 20 px at 1024."""
    return _garment_and_arms(subject, arm_px=60 * subject.unit, reach_px=47.5 * subject.unit)


def ladi(subject: Subject) -> Mask:
    """LaDI-VTON: arms 90 px wide at a height of 512, everything widened by five squares of 5 px there."""
    return _garment_and_arms(subject, arm_px=180 * subject.unit, reach_px=20 * subject.unit)


def _garment_and_arms(subject: Subject, arm_px: float, reach_px: float) -> Mask:
    category = subject.category
    area = subject.garment()
    fixed = subject.labelled(*_FIXED, *_FIXED_BY_CATEGORY[category])
    if category != "upper_body":
        area |= subject.labelled(*LEGS)
    if category != "lower_body":
        arms = _arm_band(subject, arm_px)
        fixed |= subject.labelled(*ARM_LABELS) & ~arms
        area |= arms | subject.labelled(*NECK_SKIN)
        head, face = subject.labelled(*_HEAD), _above_shoulders(subject)
        fixed |= head & face
        area |= head & ~face
    else:
        fixed |= subject.labelled(*_HEAD)
    if category == "dresses":
        area |= subject.labelled(*DRESSES)
    return widened(area, reach_px) & ~fixed


def _arm_band(subject: Subject, width_px: float) -> Mask:
    """One line from wrist to wrist over elbows and shoulders; missing wrists and elbows are left out."""
    right, left = ([subject.joints[joint] for joint in arm] for arm in ARMS)
    points = [point for point in (*right[::-1], *left) if known(point)]
    canvas = Canvas(subject.size)
    canvas.line(points, width_px, joint="curve")
    return canvas.mask()


def _above_shoulders(subject: Subject) -> Mask:
    """Above the line through both shoulders, less a margin; a line that stands upright is taken for a level one."""
    right, left = subject.joints[RIGHT_SHOULDER], subject.joints[LEFT_SHOULDER]
    run = left[0] - right[0]
    slope = (left[1] - right[1]) / run if abs(run) > subject.unit else 0.0
    middle = (right + left) / 2
    height, width = subject.size
    line = middle[1] + slope * (np.arange(width) - middle[0]) - _BELOW_SHOULDERS * subject.unit
    return np.asarray(np.arange(height)[:, None] < line[None, :])
