"""Drawn garments: a shirt, skirt or dress on white with a texture, procedural or from a real photograph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.io.images import read_image

REAL = ("brick", "grass", "gravel")  # public-domain photographs that scikit-image carries
TEXTURES = ("stripes", "checks", "dots", "letters", *REAL)

# outlines, x and y in 0..1 of the shop photo, clockwise from the top left
OUTLINES = {
    "upper_body": np.array(
        [
            *[(0.38, 0.06), (0.44, 0.12), (0.56, 0.12), (0.62, 0.06), (0.80, 0.12), (0.97, 0.34), (0.84, 0.42)],
            *[(0.78, 0.33), (0.77, 0.94), (0.23, 0.94), (0.22, 0.33), (0.16, 0.42), (0.03, 0.34), (0.20, 0.12)],
        ]
    ),
    "lower_body": np.array([(0.30, 0.06), (0.70, 0.06), (0.88, 0.94), (0.12, 0.94)]),
    "dresses": np.array(
        [
            *[(0.38, 0.05), (0.44, 0.09), (0.56, 0.09), (0.62, 0.05), (0.74, 0.08), (0.70, 0.40), (0.92, 0.95)],
            *[(0.08, 0.95), (0.30, 0.40), (0.26, 0.08)],
        ]
    ),
}
# five letters of 5 x 7 dots, a row per number, five bits each
_FONT = {
    "Q": (14, 17, 17, 17, 21, 18, 13),
    "U": (17, 17, 17, 17, 17, 17, 14),
    "A": (14, 17, 17, 31, 17, 17, 17),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "T": (31, 4, 4, 4, 4, 4, 4),
}


@dataclass(frozen=True, eq=False)
class Garment:
    """A shop photo.

    Attributes:
        image: (H, W, 3) uint8, white outside.
        mask: (H, W), True inside.
        texture: name.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    texture: str


def draw_garment(
    size: tuple[int, int], texture: str, rng: np.random.Generator, category: str = "upper_body"
) -> Garment:
    """A shirt, skirt or dress of two colours."""
    colours = rng.uniform(20, 235, (2, 3))
    colours[1] = (colours[0] + rng.uniform(80, 175, 3)) % 256  # far enough to be seen
    share = _share(texture, size, rng)[..., None]
    mask = polygon(OUTLINES[category], size)
    pattern = colours[0] * (1 - share) + colours[1] * share
    image = np.where(mask[..., None], pattern, 255).round().clip(0, 255).astype(np.uint8)
    return Garment(image, mask, texture)


def polygon(outline: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies in a polygon with corners in 0..1, by the even-odd rule."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    x, y = (columns + 0.5) / size[1], (rows + 0.5) / size[0]
    inside = np.zeros(size, bool)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, 1, axis=0), strict=True):
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return inside


def real_photo(name: str) -> NDArray[np.uint8]:
    """A public-domain photograph of scikit-image, (H, W, 3) or (H, W) uint8."""
    import skimage

    return _photo(Path(skimage.__file__).with_name("data") / f"{name}.png")


@cache
def _photo(path: Path) -> NDArray[np.uint8]:
    return np.asarray(read_image(path, alpha="drop").array)


def _share(texture: str, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Share of the second colour at each pixel; pattern lengths follow the height."""
    rows, columns = np.mgrid[: size[0], : size[1]] / size[0]
    period = rng.uniform(0.1, 0.2)
    if texture in REAL:
        return _real_share(texture, size, rng)
    if texture == "stripes":
        return ((rows + 0.3 * columns) % period < period / 2).astype(float)
    if texture == "checks":
        return ((rows % period < period / 2) ^ (columns % period < period / 2)).astype(float)
    if texture == "dots":
        near = ((rows % period) / period - 0.5) ** 2 + ((columns % period) / period - 0.5) ** 2
        return (near < 0.08).astype(float)
    return _letters(size)


def _real_share(texture: str, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    photo = real_photo(texture)
    photo = photo if photo.ndim == 2 else photo.mean(axis=2)
    step = max(1, min(photo.shape[0] // size[0], photo.shape[1] // size[1]))
    rows, columns = ((np.arange(n) * step + rng.integers(64)) % m for n, m in zip(size, photo.shape, strict=True))
    part = photo[rows][:, columns].astype(float)
    return np.asarray((part - part.min()) / max(float(np.ptp(part)), 1.0))


def _letters(size: tuple[int, int]) -> NDArray[np.float64]:
    """A word across the chest."""
    rows = [
        [
            bit
            for letter in "QUART"
            for bit in (*(_FONT[letter][line] >> shift & 1 for shift in (4, 3, 2, 1, 0)), 0)
        ]
        for line in range(7)
    ]
    bitmap = np.array(rows, float)
    share = np.zeros(size)
    top, left = round(0.36 * size[0]), round(0.27 * size[1])
    cell = max(1, round(0.46 * size[1] / bitmap.shape[1]))
    big = np.kron(bitmap, np.ones((cell, cell)))[: size[0] - top, : size[1] - left]
    share[top : top + big.shape[0], left : left + big.shape[1]] = big
    return share
