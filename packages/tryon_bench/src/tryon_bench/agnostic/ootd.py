"""The recipe of OOTDiffusion and IDM-VTON: garment labels and wide arms, widened, one part without holes.

The rules were read in levihsu/OOTDiffusion at 1602738 (`run/utils_ootd.py`); the code is ours.
"""

from __future__ import annotations

import numpy as np

from .body import ARMS
from .canvas import Canvas, Mask, known
from .grow import largest_filled, widened
from .subject import ARMS as ARM_LABELS
from .subject import BOTTOMS, DRESSES, LEGS, NECK_SKIN, SHOES, TOPS, Subject

_AREA = {
    "upper_body": (*TOPS, *DRESSES),
    "lower_body": (*BOTTOMS, *LEGS),
    "dresses": (*TOPS, *DRESSES, *BOTTOMS),
}
_FIXED = (*SHOES, "hat", "sunglasses", "bag", "face")
_FIXED_BY_CATEGORY = {"upper_body": BOTTOMS, "lower_body": (*TOPS, *ARM_LABELS), "dresses": ()}
_ARM_PX = {"upper_body": 120.0, "lower_body": 120.0, "dresses": 90.0}  # at 1024: 60 for VITON-HD, 45 for DressCode
_BEYOND_WRIST = 1.2  # length of the drawn forearm over the real one
_GARMENT_REACH, _ARM_REACH, _NECK_REACH = 20.0, 16.0, 4.0  # 5, 4 and 1 squares of 5 px at a height of 512


def ootd(subject: Subject) -> Mask:
    """OOTDiffusion: arms 60 px wide at a height of 512 (45 for dresses), drawn beyond the wrist."""
    unit, category = subject.unit, subject.category
    fixed = subject.labelled(*_FIXED, *_FIXED_BY_CATEGORY[category])
    area = widened(subject.labelled(*_AREA[category]), _GARMENT_REACH * unit)
    if category != "lower_body":
        arms, hands = _arms(subject, _ARM_PX[category] * unit)
        fixed |= hands
        area |= widened(arms, _ARM_REACH * unit)
        area |= widened(subject.labelled(*NECK_SKIN), _NECK_REACH * unit)
    return largest_filled(area & ~fixed)


def _arms(subject: Subject, width_px: float) -> tuple[Mask, Mask]:
    """The arms as drawn, or as parsed where a joint is missing; and the hands beyond the drawn ones."""
    arms = np.zeros(subject.size, bool)
    hands = np.zeros(subject.size, bool)
    for name, joints in zip(("right arm", "left arm"), ARMS, strict=True):
        shoulder, elbow, wrist = (subject.joints[joint] for joint in joints)
        parsed = subject.labelled(name)
        if not known(elbow, wrist):
            arms |= parsed
            continue
        canvas = Canvas(subject.size)
        canvas.line([elbow + (wrist - elbow) * _BEYOND_WRIST, elbow, shoulder], width_px, joint="curve")
        canvas.disc(shoulder, width_px / 2)
        drawn = canvas.mask()
        arms |= drawn
        hands |= parsed & ~drawn
    return arms, hands
