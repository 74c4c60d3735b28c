"""Corruptions that stay inside one region of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..jpeg import through_jpeg

Pixels = NDArray[np.uint8]
Where = Literal["clothing", "person"]


class Corruption(NamedTuple):
    """A named change.

    Attributes:
        name: what is done.
        region: where; everything else stays as it was, bit for bit.
        change: (image, another image, generator) -> image of the same size.
        of_head: only above the clothing, where the face is.
    """

    name: str
    region: Where
    change: Callable[[Pixels, Pixels, np.random.Generator], Pixels]
    of_head: bool = False


def corrupted(
    corruption: Corruption,
    image: Pixels,
    other: Pixels,
    clothing: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Pixels:
    """Apply a corruption inside its region.

    Args:
        corruption: which.
        image: (H, W, 3) uint8.
        other: another image of that size, the source of wrong garments.
        clothing: (H, W) mask.
        rng: for noise.
    """
    inside = clothing if corruption.region == "clothing" else ~clothing
    if corruption.of_head:
        top = np.flatnonzero(clothing.any(axis=1))[0]
        inside = inside & (np.arange(len(clothing)) < top)[:, None]
    return np.where(inside[:, :, None], corruption.change(image, other, rng), image)


def _noise(image: Pixels, _: Pixels, rng: np.random.Generator) -> Pixels:
    return (image + rng.normal(0, 20, image.shape)).round().clip(0, 255).astype(np.uint8)


def _blur(image: Pixels, _: Pixels, rng: np.random.Generator) -> Pixels:
    return gaussian_filter(image, sigma=(image.shape[0] / 100,) * 2 + (0,))


def _jpeg(image: Pixels, _: Pixels, rng: np.random.Generator) -> Pixels:
    return through_jpeg(image, 10)


def _hue(image: Pixels, _: Pixels, rng: np.random.Generator) -> Pixels:
    return image[:, :, [2, 0, 1]]


def _other(image: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    return other


def _shift(image: Pixels, _: Pixels, rng: np.random.Generator) -> Pixels:
    return np.roll(image, (image.shape[0] // 24, image.shape[1] // 24), axis=(0, 1))


def _hole(image: Pixels, _: Pixels, rng: np.random.Generator) -> Pixels:
    holed = image.copy()
    rows, columns = np.indices(image.shape[:2]) * 6 // np.array(image.shape[:2])[:, None, None]
    holed[(rows + columns) % 2 == 0] = 128
    return holed


CORRUPTIONS = (
    Corruption("noise", "clothing", _noise),
    Corruption("blur", "clothing", _blur),
    Corruption("JPEG 10", "clothing", _jpeg),
    Corruption("hue", "clothing", _hue),
    Corruption("wrong garment", "clothing", _other),
    Corruption("shift", "clothing", _shift),
    Corruption("holes", "clothing", _hole),
    Corruption("background shift", "person", _shift),
    Corruption("face blur", "person", _blur, of_head=True),
)
