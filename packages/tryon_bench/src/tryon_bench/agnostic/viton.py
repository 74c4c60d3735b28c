"""The recipes of VITON-HD and of what follows it: torso, arms and neck are drawn from joints, kept parts put back.

The rules are those of shadow2496/VITON-HD, sangyun884/HR-VITON and zengjianhao/CAT-DM (read there at b86286a,
`tools/mask_vitonhd.py`); the code is ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .body import ARMS, LEFT_SHOULDER, NECK, RIGHT_SHOULDER, shoulder_width, straightened_hips
from .canvas import Canvas, Mask, known
from .subject import BOTTOMS, DRESSES, LEGS, NECK_SKIN, SHOES, TOPS, Subject

_FIXED_RADIUS = 20.0  # VITON-HD, px at a height of 1024
_PARSE_RADIUS = 10.0  # of the agnostic parse
_KEPT = ("sunglasses", "face", *BOTTOMS, *LEGS, *SHOES)  # hair is not put back by any of the three


def viton_hd(subject: Subject) -> Mask:
    """VITON-HD: a radius of 20 px at a height of 1024, whatever the person's size."""
    return _drawn_and_kept(subject, _FIXED_RADIUS * subject.unit)


def cat_dm(subject: Subject) -> Mask:
    """CAT-DM: as VITON-HD, with a radius that follows the person's shoulders."""
    return _drawn_and_kept(subject, adaptive_radius(subject))


def hr_viton(subject: Subject) -> Mask:
    """HR-VITON, "v3.2" in VITON-HD's folders: a radius that follows the shoulders, and hands are put back."""
    radius = adaptive_radius(subject)
    drawn = draw_body_v32(subject, radius).mask()
    return drawn & ~_hands(subject, radius) & ~subject.labelled(*_KEPT)


def adaptive_radius(subject: Subject) -> float:
    """A sixteenth of the shoulders' distance, rounded up at the height of 1024 and then scaled."""
    width = shoulder_width(subject.joints) / subject.unit
    return (int(width / 16) + 1) * subject.unit


def viton_parse(subject: Subject) -> NDArray[np.uint8]:
    """VITON-HD's agnostic parse: tops and torso skin removed, arms only near their bones, so that hands stay."""
    radius, gone = _PARSE_RADIUS * subject.unit, subject.labelled(*TOPS, *DRESSES, *NECK_SKIN)
    for name, (shoulder, elbow, wrist), opposite in (
        ("left arm", ARMS[1], RIGHT_SHOULDER),
        ("right arm", ARMS[0], LEFT_SHOULDER),
    ):
        canvas, previous = Canvas(subject.size), subject.joints[opposite]
        for joint in (shoulder, elbow, wrist):
            here = subject.joints[joint]
            if not known(previous, here):
                continue
            canvas.line([previous, here], 10 * radius)
            canvas.disc(here, 4 * radius if joint == wrist else 15 * radius)
            previous = here
        gone |= canvas.mask() & subject.labelled(name)
    return np.where(gone, np.uint8(0), subject.parse)


def _drawn_and_kept(subject: Subject, radius: float) -> Mask:
    canvas, joints = Canvas(subject.size), subject.joints
    canvas.line([joints[RIGHT_SHOULDER], joints[LEFT_SHOULDER]], 10 * radius)
    for shoulder, elbow, wrist in ARMS:
        canvas.disc(joints[shoulder], 5 * radius)
        _draw_arm(canvas, joints, (shoulder, elbow, wrist), radius)
    _draw_torso(canvas, subject, radius)
    canvas.rectangle(joints[NECK] - 7 * radius, joints[NECK] + 7 * radius)
    return canvas.mask() & ~subject.labelled(*_KEPT)


def draw_body_v32(subject: Subject, radius: float) -> Canvas:
    """Torso, neck and arms as HR-VITON draws them."""
    canvas, joints = Canvas(subject.size), subject.joints
    _draw_torso(canvas, subject, radius)
    neck = joints[NECK]
    canvas.rectangle(neck + radius * np.array([-5.0, -9.0]), neck + radius * np.array([5.0, 0.0]))
    canvas.line([joints[RIGHT_SHOULDER], joints[LEFT_SHOULDER]], 12 * radius)
    for arm in ARMS:
        canvas.ellipse(joints[arm[0]], 5 * radius, 6 * radius)
        _draw_arm(canvas, joints, arm, radius)
    return canvas


def _draw_torso(canvas: Canvas, subject: Subject, radius: float) -> None:
    right, left = straightened_hips(subject.joints)
    shoulders = subject.joints[RIGHT_SHOULDER], subject.joints[LEFT_SHOULDER]
    for hip in (right, left):
        canvas.ellipse(hip, 3 * radius, 6 * radius)
    canvas.line([shoulders[0], right], 6 * radius)
    canvas.line([shoulders[1], left], 6 * radius)
    canvas.line([right, left], 12 * radius)
    canvas.polygon([*shoulders, left, right])


def _draw_arm(
    canvas: Canvas, joints: NDArray[np.float64], arm: tuple[int, int, int], radius: float, wrist_radii: float = 5
) -> None:
    """Both halves of an arm; a half with a missing end is left out."""
    shoulder, elbow, wrist = arm
    for start, end in ((shoulder, elbow), (elbow, wrist)):
        if known(joints[start], joints[end]):
            canvas.line([joints[start], joints[end]], 10 * radius)
            canvas.disc(joints[end], (wrist_radii if end == wrist else 5) * radius)


def _hands(subject: Subject, radius: float) -> Mask:
    """What the parse calls an arm but no drawn arm reaches: hands, and arms of which no joint was found."""
    hands = np.zeros(subject.size, bool)
    for name, arm in zip(("right arm", "left arm"), ARMS, strict=True):
        canvas = Canvas(subject.size)
        canvas.ellipse(subject.joints[arm[0]], 5 * radius, 6 * radius)
        _draw_arm(canvas, subject.joints, arm, radius, wrist_radii=4)
        hands |= subject.labelled(name) & ~canvas.mask()
    return hands
