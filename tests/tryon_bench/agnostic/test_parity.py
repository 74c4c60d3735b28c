"""Recipes equal a second writing of their rules with OpenCV, at the sizes for which these were published."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tryon_bench.agnostic import make
from tryon_bench.data.keypoints import COCO18_FROM_BODY25
from tryon_bench.synth.cast import draw_actor
from tryon_bench.synth.files import body25
from tryon_bench.synth.scenes import Scene

Bits = NDArray[np.uint8]


def person(number: int, size: tuple[int, int]) -> tuple[Scene, NDArray[np.float64]]:
    actor = draw_actor(number, size, 0)
    return actor.photo(), body25(actor.figure)[COCO18_FROM_BODY25]


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def any_of(labels: Bits, ids: list[int]) -> Bits:
    return np.isin(labels, ids).astype(np.uint8)


def grown(mask: Bits, side: int, times: int) -> Bits:
    return cv2.dilate(mask, np.ones((side, side), np.uint8), iterations=times)


def polyline(size: tuple[int, int], points: list[NDArray[np.float64]], width: int) -> Bits:
    image = Image.new("L", size[::-1])
    ImageDraw.Draw(image).line([tuple(map(int, p)) for p in points], 1, width, "curve")
    return np.asarray(image)


@pytest.mark.parametrize("number", [1, 2])
def test_ladi_on_vitonhd(number: int) -> None:
    scene, pose = person(number, (512, 384))
    parse = scene.parse("vitonhd")
    arms = polyline((512, 384), [pose[j, :2] for j in (7, 6, 5, 2, 3, 4)], 90)
    fixed = any_of(parse, [1, 2, 4, 13, 18, 19, 9, 12]) | (any_of(parse, [14, 15]) & ~arms & 1)
    expected = grown(any_of(parse, [5, 6, 7]) | arms, 5, 5).astype(bool) & ~fixed.astype(bool)
    assert overlap(make(scene.photo, parse, pose, "ladi").repaint, expected) > 0.99


@pytest.mark.parametrize("number", [1, 2])
def test_dresscode_at_1024(number: int) -> None:
    scene, pose = person(number, (1024, 768))
    parse = scene.parse("atr")
    arms = polyline((1024, 768), [pose[j, :2] for j in (7, 6, 5, 2, 3, 4)], 60)
    head = any_of(parse, [1, 2, 3, 11])
    slope, offset = np.polyfit(pose[[2, 5], 0], pose[[2, 5], 1], 1)
    upper = head.copy()
    for column in range(768):
        upper[int(slope * column + offset - 40) :, column] = 0
    fixed = any_of(parse, [2, 9, 10, 1, 3, 17, 16, 5, 6]) | (any_of(parse, [14, 15]) & ~arms & 1) | upper
    area = grown(any_of(parse, [4]) | arms | (head & ~upper & 1), 20, 5)
    found = make(scene.photo, parse, pose, "dresscode", scheme="atr").repaint
    assert overlap(found, area.astype(bool) & ~fixed.astype(bool)) > 0.97  # squares of 20 px reach unevenly


@pytest.mark.parametrize("number", [1, 2])
def test_ootd_at_512(number: int) -> None:
    scene, pose = person(number, (512, 384))
    parse, arms, hands = scene.parse("atr"), [], []
    for label, (shoulder, elbow, wrist) in ((14, (5, 6, 7)), (15, (2, 3, 4))):
        points = pose[[shoulder, elbow, wrist], :2].copy()
        points[2] = points[1] + 1.2 * (points[2] - points[1])
        arm = polyline((512, 384), list(points), 60).copy()
        cv2.circle(arm, tuple(map(int, points[0])), 30, 1, -1)
        arms.append(arm)
        hands.append(any_of(parse, [label]) & ~arm & 1)
    fixed = any_of(parse, [1, 3, 11, 9, 10, 16, 5, 6]) | hands[0] | hands[1]
    area = grown(any_of(parse, [4, 7]), 5, 5) | grown(arms[0] | arms[1], 5, 4)
    outlines, _ = cv2.findContours((area & ~fixed & 1), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    expected = cv2.drawContours(np.zeros_like(area), [max(outlines, key=cv2.contourArea)], 0, 1, -1)
    found = make(scene.photo, parse, pose, "ootd", scheme="atr").repaint
    assert overlap(found, expected.astype(bool)) > 0.99


@pytest.mark.parametrize("number", [1, 2])
def test_catvton_with_densepose_at_1024(number: int) -> None:
    scene, pose = person(number, (1024, 768))
    parse, parts = scene.parse("lip"), scene.densepose.copy()
    parts[(scene.names == "left arm") & (np.indices(parse.shape)[0] < 150)] = 4
    strong = (grown(any_of(parts, [3, 4, 5, 6]), 5, 1) & any_of(parse, [14, 15, 16, 17])) | any_of(parse, [13])
    weak = strong | any_of(parse, [16, 17, 9, 12, 2, 1, 3, 4, 18, 19, 11, 8])
    small = any_of(parts, [1, 2, *range(15, 23)])[::4, ::4]
    body = np.repeat(np.repeat(grown(np.ascontiguousarray(small), 5, 2), 4, axis=0), 4, axis=1)
    area = ((1 - weak) & (parse > 0).astype(np.uint8)) | body
    outlines, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        cv2.fillConvexPoly(area, cv2.convexHull(outline), 1)
    blurred = cv2.GaussianBlur((area & ~weak & 1) * 255, (41, 41), 0)
    final = ((blurred >= 25).astype(np.uint8) | any_of(parse, [5, 7, 6, 10])) & ~strong & 1
    found = make(scene.photo, parse, pose, "catvton", scheme="lip", densepose=parts).repaint
    assert overlap(found, grown(final, 5, 1).astype(bool)) > 0.98


@pytest.mark.parametrize("number", [1, 2])
def test_the_agnostic_parse_of_vitonhd_at_1024(number: int) -> None:
    scene, pose = person(number, (1024, 768))
    parse = scene.parse("vitonhd")
    expected = np.where(any_of(parse, [5, 6, 7, 10]), 0, parse)
    for label, path in ((14, (2, 5, 6, 7)), (15, (5, 2, 3, 4))):
        near = np.zeros(parse.shape, np.uint8)
        for start, end in pairwise(path):
            near |= polyline((1024, 768), [pose[start, :2], pose[end, :2]], 100)
            cv2.circle(near, tuple(map(int, pose[end, :2])), 40 if end == path[-1] else 150, 1, -1)
        expected[(near > 0) & (parse == label)] = 0
    found = make(scene.photo, parse, pose, "viton-hd").parse
    assert found is not None
    assert (found == expected).mean() > 0.9999
