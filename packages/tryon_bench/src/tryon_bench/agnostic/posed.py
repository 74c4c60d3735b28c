"""A mask from pose and person mask alone, for photos without a parse: our own recipe, after HR-VITON's drawing."""

from __future__ import annotations

import numpy as np

from .body import ARMS, LEFT_HIP, NECK, NOSE, RIGHT_HIP
from .canvas import Canvas, Mask, known
from .grow import widened
from .subject import Subject
from .viton import adaptive_radius, draw_body_v32

_HEAD = 0.62  # radius of the kept head over the distance from neck to nose
_BELOW_HIPS = 4.0  # radii: how far a hem may hang below the hips


def posed(subject: Subject) -> Mask:
    """Torso and arms as drawn, within the person's outline and a margin; head, hands and legs are kept by geometry.

    No label tells garment from skin here: a long coat's skirt, a hood or hair over the shoulders are not recognised.
    """
    radius, joints = adaptive_radius(subject), subject.joints
    area = draw_body_v32(subject, radius).mask()
    area[round(float(max(joints[RIGHT_HIP, 1], joints[LEFT_HIP, 1])) + _BELOW_HIPS * radius) :] = False
    if subject.mask is not None:
        area |= subject.mask & _trunk(subject, radius)
        area &= widened(subject.mask, radius)
    return area & ~_kept(subject, radius)


def _trunk(subject: Subject, radius: float) -> Mask:
    """Between neck and hem, as wide as the torso with sleeves: where all of the person is taken for garment."""
    joints, canvas = subject.joints, Canvas(subject.size)
    low, high = joints[[2, 5, 8, 11]].min(axis=0), joints[[2, 5, 8, 11]].max(axis=0)
    canvas.rectangle(
        np.array([low[0] - 3 * radius, joints[NECK, 1]]), np.array([high[0] + 3 * radius, high[1] + 2 * radius])
    )
    return canvas.mask()


def _kept(subject: Subject, radius: float) -> Mask:
    """Head, and hands beside the trunk: a hand before it cannot be told from the garment around it."""
    joints, head, hands = subject.joints, Canvas(subject.size), Canvas(subject.size)
    if known(joints[NOSE]):
        head.disc(joints[NOSE], _HEAD * float(np.hypot(*(joints[NOSE] - joints[NECK]))))
    for _, elbow, wrist in ARMS:
        forearm = joints[wrist] - joints[elbow]
        hands.disc(joints[wrist] + 0.35 * forearm, 0.3 * float(np.hypot(*forearm)))
    return head.mask() | (hands.mask() & ~_trunk(subject, radius))
