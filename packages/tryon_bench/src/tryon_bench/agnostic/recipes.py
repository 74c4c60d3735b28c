"""`make`: a photo, its parse and pose -> the photo without garment, the mask of what to repaint, and such a parse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._shared.errors import ConfigError, DataError
from ..data.labels import CATEGORIES, NAMES, Category, Scheme
from ..resize import resize_mask, resize_uint8
from .body import completed
from .canvas import Mask
from .catvton import catvton
from .dresscode import dresscode, ladi
from .inputs import as_labels, require_mask, require_photo
from .ootd import ootd
from .posed import posed
from .subject import Subject
from .viton import cat_dm, hr_viton, viton_hd, viton_parse

Recipe = Literal["viton-hd", "hr-viton-v3.2", "cat-dm", "dresscode", "ladi", "ootd", "catvton", "pose"]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)
GRAY = 128  # the colour of what is hidden, in all published data sets


class Agnostic(NamedTuple):
    """A person without garment.

    Attributes:
        image: (H, W, 3) uint8, gray where repainted.
        repaint: (H, W) bool, True where a method repaints, which is white in VITON-HD's files. Paint-by-Example's
            masks mean the opposite, what is kept: `~repaint`.
        parse: (H, W) label ids with the garment taken out; None without a parse.
    """

    image: NDArray[np.uint8]
    repaint: Mask
    parse: NDArray[np.uint8] | None


@dataclass(frozen=True)
class _Rule:
    area: Callable[[Subject], Mask]
    categories: tuple[Category, ...] = CATEGORIES
    parse: Callable[[Subject], NDArray[np.uint8]] | None = None  # else the labels in the area become background


_RULES: dict[Recipe, _Rule] = {
    "viton-hd": _Rule(viton_hd, ("upper_body",), viton_parse),
    "hr-viton-v3.2": _Rule(hr_viton, ("upper_body",), viton_parse),
    "cat-dm": _Rule(cat_dm, ("upper_body",), viton_parse),
    "dresscode": _Rule(dresscode),
    "ladi": _Rule(ladi),
    "ootd": _Rule(ootd),
    "catvton": _Rule(catvton),
    "pose": _Rule(posed, ("upper_body",)),
}


def make(
    person: NDArray[np.uint8],
    parse: NDArray[np.integer] | None,
    pose: NDArray[Any],
    recipe: Recipe = "hr-viton-v3.2",
    size: tuple[int, int] | None = None,
    category: Category = "upper_body",
    *,
    scheme: Scheme = "vitonhd",
    densepose: NDArray[np.integer] | None = None,
    person_mask: Mask | None = None,
) -> Agnostic:
    """Hide what a try-on method shall paint anew, by the recipe of a published data set or method.

    All lengths of the recipes follow the height of the result, so that a small mask is the large one made small; the
    published programs draw at one size and resize afterwards.

    Args:
        person: (H, W, 3) photo.
        parse: (H, W) label ids; None for the recipe `pose` only.
        pose: (18, 2 or 3) joints of COCO-18 in px of the photo; NaN or (0, 0) where missing.
        recipe: see the table in the README.
        size: (height, width) of the results; the photo's by default.
        category: what is exchanged; the recipes of the VITON-HD family know upper garments only.
        scheme: of the label ids.
        densepose: (H, W) part indices 0..24, which `catvton` uses where given.
        person_mask: (H, W), which `pose` uses where given.

    Returns:
        Photo, mask and parse of `size`.

    Raises:
        ConfigError: unknown recipe, scheme or category, or a recipe that does not know the category.
        DataError: a photo that is not 8-bit RGB, maps and masks of another type or size, no parse for a recipe that
            needs one, or no shoulders.

    Example:
        >>> photo, parse = np.zeros((96, 72, 3), np.uint8), np.zeros((96, 72), np.uint8)
        >>> pose = np.zeros((18, 3))
        >>> pose[[2, 5, 8, 11], :2] = [[26, 20], [46, 20], [28, 50], [44, 50]]
        >>> image, repaint, _ = make(photo, parse, pose, "cat-dm")
        >>> bool(repaint[30, 36]), bool(repaint[90, 36]), int(image[30, 36, 0])
        (True, False, 128)
    """
    rule = _require(recipe, category, scheme)
    joints = np.array(pose, dtype=np.float64)
    if parse is None and recipe != "pose":
        raise DataError(f"recipe {recipe} needs a parse; give one, or take the recipe pose, which needs none")
    require_photo(person)
    height, width, _ = person.shape
    parse = as_labels("parse", parse, (height, width))
    densepose = as_labels("densepose", densepose, (height, width))
    person_mask = require_mask("person_mask", person_mask, (height, width))
    if size is not None and size != (height, width):
        joints[..., :2] *= [size[1] / width, size[0] / height]
        person = resize_uint8(person, size, "pillow_lanczos")
        parse, densepose = (array if array is None else resize_labels(array, size) for array in (parse, densepose))
        person_mask = None if person_mask is None else resize_mask(person_mask, size)
    labels = np.zeros(person.shape[:2], np.uint8) if parse is None else parse
    subject = Subject(labels, scheme, category, completed(joints, labels.shape), densepose, person_mask)
    repaint = rule.area(subject)
    hidden = np.where(repaint, np.uint8(0), labels) if rule.parse is None else rule.parse(subject)
    return Agnostic(gray_where(person, repaint), repaint, None if parse is None else hidden)


def gray_where(person: NDArray[np.uint8], repaint: Mask) -> NDArray[np.uint8]:
    """The photo with gray where it is repainted."""
    image = Image.fromarray(person)
    image.paste((GRAY, GRAY, GRAY), None, Image.fromarray(repaint))  # several times faster than indexing
    return np.array(image)


def resize_labels(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Label ids at another size: each pixel takes the nearest one's id, no new ids appear."""
    return np.asarray(Image.fromarray(labels).resize(size[::-1], Image.Resampling.NEAREST))


def _require(recipe: str, category: str, scheme: str) -> _Rule:
    for what, value, known in (
        ("recipe", recipe, RECIPES),
        ("category", category, CATEGORIES),
        ("label scheme", scheme, tuple(NAMES)),
    ):
        if value not in known:
            raise ConfigError(f"{what} {value!r} is unknown; choose one of {', '.join(known)}")
    rule = _RULES[recipe]  # type: ignore[index]
    if category not in rule.categories:
        fitting = ", ".join(name for name, other in _RULES.items() if category in other.categories)
        raise ConfigError(f"recipe {recipe} covers upper garments only; for {category} choose one of {fitting}")
    return rule
