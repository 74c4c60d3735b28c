"""At 1024 x 768 VITON-HD's and HR-VITON's masks are, pixel for pixel, what Pillow draws by the published rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tryon_bench.agnostic import Recipe, make
from tryon_bench.data.keypoints import COCO18_FROM_BODY25
from tryon_bench.synth.cast import draw_actor
from tryon_bench.synth.files import body25

SIZE = (1024, 768)
Joints = NDArray[np.float64]


class Pen:
    def __init__(self, joints: Joints) -> None:
        self.joints, self.image = joints, Image.new("1", SIZE[::-1])
        self.draw = ImageDraw.Draw(self.image)

    def there(self, *ids: int) -> bool:
        return bool((self.joints[list(ids)] > 0).all())

    def line(self, a: int, b: int, width: int) -> None:
        self.draw.line([*self.joints[a], *self.joints[b]], 1, width)

    def ellipse(self, joint: int, across: float, down: float) -> None:
        x, y = self.joints[joint]
        self.draw.ellipse([x - across, y - down, x + across, y + down], 1)

    def arm(self, shoulder: int, radius: int, wrist: int = 5) -> None:
        for end in (shoulder + 1, shoulder + 2):
            if self.there(end - 1, end):
                self.line(end - 1, end, 10 * radius)
                reach = radius * (wrist if end == shoulder + 2 else 5)
                self.ellipse(end, reach, reach)

    def torso(self, radius: int) -> None:
        for hip in (9, 12):
            self.ellipse(hip, 3 * radius, 6 * radius)
        for a, b, width in ((2, 9, 6), (5, 12, 6), (9, 12, 12)):
            self.line(a, b, width * radius)
        self.draw.polygon([float(value) for joint in (2, 5, 12, 9) for value in self.joints[joint]], 1)

    def array(self) -> NDArray[np.bool_]:
        return np.array(self.image)


def drawn(recipe: Recipe, parse: NDArray[np.uint8], joints: Joints) -> NDArray[np.bool_]:
    """By the numbers of BODY_25, in which the rules are published."""
    joints = joints.copy()
    width = float(np.linalg.norm(joints[5] - joints[2]))
    middle, hips = (joints[9] + joints[12]) / 2, np.linalg.norm(joints[12] - joints[9])
    joints[[9, 12]] = middle + (joints[[9, 12]] - middle) * width / hips
    pen, radius, hr = Pen(joints), 20 if recipe == "viton-hd" else int(width / 16) + 1, recipe == "hr-viton-v3.2"
    pen.line(2, 5, (12 if hr else 10) * radius)
    for shoulder in (2, 5):
        pen.ellipse(shoulder, 5 * radius, (6 if hr else 5) * radius)
        pen.arm(shoulder, radius)
    pen.torso(radius)
    x, y = joints[1]
    low, high = ((-5, -9), (5, 0)) if hr else ((-7, -7), (7, 7))
    pen.draw.rectangle([x + low[0] * radius, y + low[1] * radius, x + high[0] * radius, y + high[1] * radius], 1)
    area = pen.array() & ~np.isin(parse, [4, 13, 9, 12, 16, 17, 18, 19])
    for shoulder, label in ((5, 14), (2, 15)) if hr else ():
        erased = Pen(joints)
        erased.ellipse(shoulder, 5 * radius, 6 * radius)
        erased.arm(shoulder, radius, wrist=4)
        area &= ~((parse == label) & ~erased.array())
    return area


@pytest.mark.parametrize("missing", [(), (4,), (3,), (6, 7)])
@pytest.mark.parametrize("recipe", ["viton-hd", "cat-dm", "hr-viton-v3.2"])
def test_every_pixel_is_as_published(recipe: Recipe, missing: tuple[int, ...]) -> None:
    for number in (1, 4):  # the fourth lacks a wrist
        actor = draw_actor(number, SIZE, 0)
        scene, pose = actor.photo(), body25(actor.figure)
        parse: Any = scene.parse("vitonhd")
        pose[list(missing)] = 0
        found = make(scene.photo, parse, pose[COCO18_FROM_BODY25], recipe).repaint
        np.testing.assert_array_equal(found, drawn(recipe, parse, pose[:, :2]))
