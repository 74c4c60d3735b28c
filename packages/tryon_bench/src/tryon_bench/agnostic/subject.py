"""What a recipe looks at: a photo's parse and joints on one grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.labels import Category, Scheme, garment_labels, labels_named
from .canvas import Mask

# Groups of parts by the names of the label tables; a name that a scheme does not know matches nothing.
TOPS = (
    *("upper clothes", "coat", "upper torso", "coat torso"),
    *("left upper sleeve", "right upper sleeve", "left coat sleeve", "right coat sleeve"),
)
DRESSES = ("dress", "jumpsuit", "dress torso", "left dress sleeve", "right dress sleeve")
BOTTOMS = ("pants", "skirt", "left pants", "right pants")
LEGS = ("left leg", "right leg")
SHOES = ("left shoe", "right shoe")
ARMS = ("left arm", "right arm")
NECK_SKIN = ("torso skin", "neck")
_REFERENCE_PX = 1024  # height for which the published radii were written


@dataclass(frozen=True, eq=False)
class Subject:
    """A person as label map and joints.

    Attributes:
        parse: (H, W) label ids.
        scheme: what they mean.
        category: what is exchanged.
        joints: (18, 2) px, see `body.completed`.
        parts: (H, W) DensePose part indices 0..24, or None.
        mask: (H, W) the person, or None; only the recipe without a parse looks at it.
    """

    parse: NDArray[np.uint8]
    scheme: Scheme
    category: Category
    joints: NDArray[np.float64]
    parts: NDArray[np.uint8] | None = None
    mask: Mask | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), px."""
        return self.parse.shape[0], self.parse.shape[1]

    @property
    def unit(self) -> float:
        """Pixels per pixel of a photo of height 1024, for which the recipes' numbers hold."""
        return self.parse.shape[0] / _REFERENCE_PX

    def labelled(self, *names: str) -> Mask:
        """Where the parse shows one of the named parts."""
        return where_label(self.parse, labels_named(self.scheme, *names))

    def garment(self) -> Mask:
        """Where the parse shows the garment that the category exchanges."""
        return where_label(self.parse, garment_labels(self.scheme, self.category))


def where_label(parse: NDArray[np.uint8], labels: frozenset[int]) -> Mask:
    """Where a label map holds one of some ids; neighbouring ids are compared at once, faster than a table or `isin`."""
    found = np.zeros(parse.shape, bool)
    for label in sorted(labels):
        if label - 1 in labels:
            continue
        end = label + 1
        while end in labels:
            end += 1
        # ids are unsigned: what is below the first one becomes large
        found |= parse == label if end == label + 1 else parse - np.uint8(label) < end - label
    return found
