"""Draw docs/tryon_agnostic.png: synthetic persons by every recipe of the agnostic person.

Usage: python tools/draw_agnostic.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tryon_bench.agnostic import RECIPES, draw_skeleton, make
from tryon_bench.data.keypoints import COCO18_FROM_BODY25
from tryon_bench.synth.cast import draw_actor
from tryon_bench.synth.files import body25

PAGE = Path(__file__).parents[1] / "docs" / "tryon_agnostic.png"
SIZE, CELL, TITLE_PX = (1024, 768), (200, 150), 16  # (height, width), px


def main() -> None:
    """Write the picture."""
    rows = [np.concatenate(cells, axis=1) for cells in (_person(2), _person(3))]
    picture = Image.fromarray(np.concatenate([_titles(), *rows]))
    # few colours: the background's noise would take most of the file
    picture.quantize(96).save(PAGE, optimize=True)
    print(f"{PAGE.name}: {PAGE.stat().st_size / 1000:.0f} kB")


def _person(number: int) -> list[NDArray[np.uint8]]:
    actor = draw_actor(number, SIZE, 0)
    scene, pose = actor.photo(), body25(actor.figure)[COCO18_FROM_BODY25]
    parse = scene.parse("vitonhd")
    pictures = [scene.photo, draw_skeleton(pose, SIZE)]
    for recipe in RECIPES:
        known = None if recipe == "pose" else parse
        pictures.append(make(scene.photo, known, pose, recipe, person_mask=scene.names != "").image)
    return [np.asarray(Image.fromarray(picture).resize(CELL[::-1], Image.Resampling.BOX)) for picture in pictures]


def _titles() -> NDArray[np.uint8]:
    names = ("photo", "joints", *RECIPES)
    strip = Image.new("RGB", (CELL[1] * len(names), TITLE_PX), "white")
    draw = ImageDraw.Draw(strip)
    for index, name in enumerate(names):
        draw.text((CELL[1] * index + 4, 2), name, fill="black")
    return np.asarray(strip)


if __name__ == "__main__":
    main()
