"""CatVTON-style masks: everything that is not protected, filled up to its convex hull and smoothed.

The rules were read in Zheng-Chong/CatVTON at 1f486df (`model/cloth_masker.py`); the code is ours.
"""

from __future__ import annotations

import numpy as np

from ..data.labels import labels_named
from .body import ARMS, LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER, shoulder_width
from .canvas import Canvas, Mask, known
from .grow import blurred_over, hulls, widened
from .subject import ARMS as ARM_LABELS
from .subject import BOTTOMS, DRESSES, LEGS, SHOES, TOPS, Subject, where_label

_GARMENT = {
    "upper_body": (*TOPS, *DRESSES),
    "lower_body": (*BOTTOMS, *DRESSES),
    "dresses": (*TOPS, *DRESSES, *BOTTOMS),
}
_PROTECTED = ("hair", "hat", "glove", "sunglasses", "bag", *SHOES, "scarf", "socks")
_PROTECTED_BY_CATEGORY = {
    "upper_body": (*LEGS, *BOTTOMS),
    "lower_body": (*ARM_LABELS, "face", *TOPS),
    "dresses": (),
}
# DensePose's part indices
_TORSO, _HANDS, _FEET = (1, 2), (3, 4), (5, 6)
_THIGHS_AND_LEGS, _ARM_PARTS = tuple(range(7, 15)), tuple(range(15, 23))
_BODY = {
    "upper_body": (*_TORSO, *_ARM_PARTS),
    "lower_body": _THIGHS_AND_LEGS,
    "dresses": (*_TORSO, *_THIGHS_AND_LEGS, *_ARM_PARTS),
}
_STEP = 2.0  # px at a height of 1024: reach of one dilation by a square of a 250th of the longer side
_BLUR_REACH, _BLUR_SIGMA = 20.0, 6.5  # a window of a 25th of the longer side, and OpenCV's sigma for it
_BLUR_THRESHOLD = 25 / 255


def catvton(subject: Subject) -> Mask:
    """CatVTON: unprotected body and clothes with the body parts that the garment may cover, as convex hulls."""
    unit, category = subject.unit, subject.category
    step = _STEP * unit
    strong = _hands_and_feet(subject, step) | subject.labelled("face")
    weak = strong | subject.labelled(*_PROTECTED, *_PROTECTED_BY_CATEGORY[category])
    background = where_label(subject.parse, labels_named(subject.scheme, "background", ""))
    # the published program widens at a quarter of the size, twice: 4 x 2 steps here
    body = widened(_body(subject), 8 * step)
    area = hulls(~weak & ~background | body) & ~weak
    area = blurred_over(area, _BLUR_SIGMA * unit, _BLUR_REACH * unit, _BLUR_THRESHOLD)
    return widened((area | subject.labelled(*_GARMENT[category])) & ~strong, step)


def _body(subject: Subject) -> Mask:
    """The body parts below the garment: DensePose's, or drawn thinly from joints where there is none (our choice)."""
    if subject.parts is not None:
        return where_label(subject.parts, frozenset(_BODY[subject.category]))
    canvas, joints = Canvas(subject.size), subject.joints
    thickness = shoulder_width(joints) / 6
    if subject.category != "lower_body":
        canvas.polygon(joints[[RIGHT_SHOULDER, LEFT_SHOULDER, LEFT_HIP, RIGHT_HIP]])  # type: ignore[arg-type]
        for arm in ARMS:
            canvas.line([joints[j] for j in arm if known(joints[j])], thickness, joint="curve")
    if subject.category != "upper_body":
        for leg in ((8, 9, 10), (11, 12, 13)):
            canvas.line([joints[j] for j in leg if known(joints[j])], 1.5 * thickness, joint="curve")
    return canvas.mask()


def _hands_and_feet(subject: Subject, step: float) -> Mask:
    """Hands and feet of DensePose, or a disc beyond the wrist (our choice), where the parse shows bare limbs."""
    bare = subject.labelled(*ARM_LABELS, *LEGS)
    if subject.parts is not None:
        return widened(where_label(subject.parts, frozenset((*_HANDS, *_FEET))), step) & bare
    canvas = Canvas(subject.size)
    for _, elbow, wrist in ARMS:
        forearm = subject.joints[wrist] - subject.joints[elbow]
        length = float(np.hypot(*forearm))
        canvas.disc(subject.joints[wrist] + 0.4 * forearm, 0.35 * length)
    return canvas.mask() & bare
