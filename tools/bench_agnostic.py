"""Agnostic persons at 1024 x 768: ours against the plain form with OpenCV's drawing and numpy's `isin`.

A part of `make bench PKG=tryon_bench`. The plain form is what a user writes after the descriptions of VITON-HD,
HR-VITON and LaDI-VTON; both sides give the photo in gray, the mask and the parse without garment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from tryon_bench.agnostic import Agnostic, Recipe, make
from tryon_bench.data.keypoints import COCO18_FROM_BODY25
from tryon_bench.synth.cast import draw_actor
from tryon_bench.synth.files import body25

SIZE = (1024, 768)
PERSONS, ROUNDS = 4, 6
ALONE: tuple[Recipe, ...] = ("dresscode", "ootd", "catvton")
ARMS = ((2, 3, 4), (5, 6, 7))
Labels = NDArray[np.uint8]
Pose = NDArray[np.float64]


def bench_agnostic() -> dict[str, dict[str, float]]:
    """Processor seconds per person on either side, in turns, and how well the masks agree (intersection over union)."""
    cv2.setNumThreads(1)
    persons = [_person(number) for number in range(1, PERSONS + 1)]
    found: dict[str, dict[str, float]] = {}
    for recipe, plain in PLAIN.items():
        ours, theirs, overlap = [], [], []
        for photo, parse, pose in persons * ROUNDS:
            seconds, mine = _timed(partial(make, photo, parse, pose, recipe))
            ours.append(seconds)
            seconds, other = _timed(partial(plain, photo, parse, pose))
            theirs.append(seconds)
            overlap.append((mine.repaint & other.repaint).sum() / (mine.repaint | other.repaint).sum())
        found[recipe] = {
            "ours_s": float(np.median(ours)), "theirs_s": float(np.median(theirs)), "overlap": float(min(overlap)),
        }  # fmt: skip
    for recipe in ALONE:
        times = [_timed(partial(make, *person, recipe))[0] for person in persons * ROUNDS]
        found[recipe] = {"ours_s": float(np.median(times))}
    return found


def agnostic_lines(part: dict[str, dict[str, float]]) -> list[str]:
    """The part of the page."""
    lines = [
        "## Agnostic persons",
        "",
        f"Photo in gray, mask and parse of one person at {SIZE[0]} x {SIZE[1]}, median of {PERSONS * ROUNDS} calls in "
        "turns; theirs is OpenCV's drawing with numpy's `isin`, written here. OpenCV rounds the ends of lines; Pillow, "
        "with which the published programs draw, does not: hence the overlaps.",
        "",
        "| recipe | theirs, images/s | ours, images/s | ratio | overlap of the masks |",
        "|---|---|---|---|---|",
    ]
    for recipe, row in part.items():
        if "theirs_s" in row:
            ratio = f"{row['theirs_s'] / row['ours_s']:.2f}x"
            lines.append(
                f"| {recipe} | {1 / row['theirs_s']:.0f} | {1 / row['ours_s']:.0f} | {ratio} | {row['overlap']:.4f} |"
            )
        else:
            lines.append(f"| {recipe} | | {1 / row['ours_s']:.0f} | | |")
    return [*lines, ""]


def _person(number: int) -> tuple[Labels, Labels, Pose]:
    actor = draw_actor(number, SIZE, 0)
    scene = actor.photo()
    return scene.photo, scene.parse("vitonhd"), body25(actor.figure)[COCO18_FROM_BODY25]


def _timed(call: Callable[[], Agnostic]) -> tuple[float, Agnostic]:
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def _point(values: NDArray[np.float64]) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def _joints(pose: Pose) -> Pose:
    joints = pose[:, :2].copy()
    middle, width = (joints[8] + joints[11]) / 2, np.linalg.norm(joints[5] - joints[2])
    scale = width / np.linalg.norm(joints[11] - joints[8])
    joints[8], joints[11] = middle + (joints[8] - middle) * scale, middle + (joints[11] - middle) * scale
    return joints


def _torso(mask: Labels, joints: Pose, r: int) -> None:
    for hip in (8, 11):
        cv2.ellipse(mask, _point(joints[hip]), (3 * r, 6 * r), 0, 0, 360, 1, -1)
    cv2.line(mask, _point(joints[2]), _point(joints[8]), 1, 6 * r)
    cv2.line(mask, _point(joints[5]), _point(joints[11]), 1, 6 * r)
    cv2.line(mask, _point(joints[8]), _point(joints[11]), 1, 12 * r)
    cv2.fillConvexPoly(mask, np.array([_point(joints[j]) for j in (2, 5, 11, 8)]), 1)


def _arms(mask: Labels, joints: Pose, r: int, wrist: int = 5) -> None:
    for shoulder, elbow, hand in ARMS:
        for a, b in ((shoulder, elbow), (elbow, hand)):
            if joints[a].any() and joints[b].any():
                cv2.line(mask, _point(joints[a]), _point(joints[b]), 1, 10 * r)
                cv2.circle(mask, _point(joints[b]), (wrist if b == hand else 5) * r, 1, -1)


def _parse(parse: Labels, joints: Pose) -> Labels:
    r, hidden = 10, parse.copy()
    hidden[np.isin(parse, [5, 6, 7, 10])] = 0
    for label, path in ((14, (2, 5, 6, 7)), (15, (5, 2, 3, 4))):
        mask, previous = np.zeros(SIZE, np.uint8), path[0]
        for joint in path[1:]:
            if not joints[joint].any():
                continue
            cv2.line(mask, _point(joints[previous]), _point(joints[joint]), 1, 10 * r)
            cv2.circle(mask, _point(joints[joint]), (4 if joint == path[-1] else 15) * r, 1, -1)
            previous = joint
        hidden[(mask > 0) & (parse == label)] = 0
    return hidden


def _result(photo: Labels, area: NDArray[np.bool_], parse: Labels) -> Agnostic:
    gray = photo.copy()
    gray[area] = 128
    return Agnostic(gray, area, parse)


def _viton_hd(photo: Labels, parse: Labels, pose: Pose) -> Agnostic:
    r, joints, mask = 20, _joints(pose), np.zeros(SIZE, np.uint8)
    cv2.line(mask, _point(joints[2]), _point(joints[5]), 1, 10 * r)
    for shoulder in (2, 5):
        cv2.circle(mask, _point(joints[shoulder]), 5 * r, 1, -1)
    _arms(mask, joints, r)
    _torso(mask, joints, r)
    cv2.rectangle(mask, _point(joints[1] - 7 * r), _point(joints[1] + 7 * r), 1, -1)
    area = (mask > 0) & ~np.isin(parse, [4, 13, 9, 12, 16, 17, 18, 19])
    return _result(photo, area, _parse(parse, joints))


def _hr_viton(photo: Labels, parse: Labels, pose: Pose) -> Agnostic:
    joints, mask = _joints(pose), np.zeros(SIZE, np.uint8)
    r = int(np.linalg.norm(joints[5] - joints[2]) / 16) + 1
    _torso(mask, joints, r)
    cv2.rectangle(mask, _point(joints[1] - [5 * r, 9 * r]), _point(joints[1] + [5 * r, 0]), 1, -1)
    cv2.line(mask, _point(joints[2]), _point(joints[5]), 1, 12 * r)
    for shoulder in (2, 5):
        cv2.ellipse(mask, _point(joints[shoulder]), (5 * r, 6 * r), 0, 0, 360, 1, -1)
    _arms(mask, joints, r)
    area = (mask > 0) & ~np.isin(parse, [4, 13, 9, 12, 16, 17, 18, 19])
    for label, arm in ((15, ARMS[0]), (14, ARMS[1])):
        erased, only = np.zeros(SIZE, np.uint8), np.zeros_like(joints)
        only[list(arm)] = joints[list(arm)]
        cv2.ellipse(erased, _point(joints[arm[0]]), (5 * r, 6 * r), 0, 0, 360, 1, -1)
        _arms(erased, only, r, wrist=4)
        area &= ~((parse == label) & (erased == 0))
    return _result(photo, area, _parse(parse, joints))


def _ladi(photo: Labels, parse: Labels, pose: Pose) -> Agnostic:
    joints, band = pose[:, :2], np.zeros(SIZE, np.uint8)
    points = np.array([_point(joints[j]) for j in (4, 3, 2, 5, 6, 7) if joints[j].any()])
    cv2.polylines(band, [points], isClosed=False, color=1, thickness=180)
    fixed = np.isin(parse, [2, 18, 19, 1, 9, 12, 4, 13]) | (np.isin(parse, [14, 15]) & (band == 0))
    area = np.isin(parse, [5, 6, 7]) | (band > 0)
    grown = cv2.dilate(area.astype(np.uint8), np.ones((5, 5), np.uint8), iterations=10)
    area = (grown > 0) & ~fixed
    return _result(photo, area, np.where(area, np.uint8(0), parse))


PLAIN: dict[Recipe, Callable[[Labels, Labels, Pose], Agnostic]] = {
    "viton-hd": _viton_hd,
    "hr-viton-v3.2": _hr_viton,
    "ladi": _ladi,
}
