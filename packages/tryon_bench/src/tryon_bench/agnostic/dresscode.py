"""The recipes of DressCode and LaDI-VTON: the garment's labels and a band along the arms, widened.

The rules were read in miccunifi/ladi-vton at 78aa9c0 (`src/dataset/`), and for DressCode in programs that carry its
loader; the code is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import ARMS, LEFT_SHOULDER, RIGHT_SHOULDER
from .canvas import Canvas, Mask, known
from .grow import widened
from .subject import ARMS as ARM_LABELS
from .subject import BOTTOMS, LEGS, NECK_SKIN, SHOES, TOPS, Subject

_HEAD = ("hat", "hair", "sunglasses", "face")
_FIXED_BY_CATEGORY = {"upper_body": BOTTOMS, "lower_body": (*TOPS, *ARM_LABELS), "dresses": ()}
_BELOW_SHOULDERS = 40.0  # px at a height of 1024: how far above the shoulders' line the head ends


@dataclass(frozen=True)
class _Form:
    """What differs between the programs.

    Attributes:
        arm_px: width of the band along the arms, at a height of 1024.
        reach_px: how far everything is widened, likewise.
        cut_head: the neck, which is face or hair in DressCode's label maps, ends at the shoulders' line.
        fixed: what is never repainted, besides the head.
    """

    arm_px: float
    reach_px: float
    cut_head: bool
    fixed: tuple[str, ...] = ("hair", *SHOES, "hat", "sunglasses", "scarf", "bag")


_DRESSCODE = _Form(60, 47.5, cut_head=True)
_LADI_ON_DRESSCODE = _Form(90, 20, cut_head=True)
_LADI_ON_VITONHD = _Form(180, 20, cut_head=False, fixed=("hair", *SHOES, "hat"))


def dresscode(subject: Subject) -> Mask:
    """DressCode: arms 30 px wide at a height of 512, everything widened by five squares of 20 px at 1024."""
    return _garment_and_arms(subject, _DRESSCODE)


def ladi(subject: Subject) -> Mask:
    """LaDI-VTON: everything widened by five squares of 5 px at a height of 512.

    Its two loaders differ, and the labels decide: with VITON-HD's or LIP's ids arms are 90 px wide at a height of 512
    and the head is kept whole, with others 45 px and the neck is cut off.
    """
    return _garment_and_arms(
        subject, _LADI_ON_VITONHD if subject.scheme in ("vitonhd", "lip") else _LADI_ON_DRESSCODE
    )


def _garment_and_arms(subject: Subject, form: _Form) -> Mask:
    category, head = subject.category, subject.labelled(*_HEAD)
    area = subject.garment()
    fixed = subject.labelled(*form.fixed, *_FIXED_BY_CATEGORY[category])
    if category != "upper_body":
        area |= subject.labelled(*LEGS)
    if category != "lower_body":
        arms = _arm_band(subject, form.arm_px * subject.unit)
        fixed |= subject.labelled(*ARM_LABELS) & ~arms
        area |= arms
        if form.cut_head:
            area |= head & ~_above_shoulders(subject) | subject.labelled(*NECK_SKIN)
            head &= _above_shoulders(subject)
    return widened(area, form.reach_px * subject.unit) & ~(fixed | head)


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
