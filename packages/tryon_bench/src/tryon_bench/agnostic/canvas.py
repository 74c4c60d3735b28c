"""Shapes drawn into a mask, in pixels of the photo and with missing joints left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Mask = NDArray[np.bool_]
Point = NDArray[np.float64]

_FINEST = 512  # px; lower masks are drawn larger and averaged, because Pillow rounds widths to pixels


class Canvas:
    """An empty mask to draw on; shapes with a missing (NaN) point are left out.

    Args:
        size: (height, width), px.

    Example:
        >>> canvas = Canvas((8, 8))
        >>> canvas.disc(np.array([4.0, 4.0]), 2)
        >>> bool(canvas.mask()[4, 4]), bool(canvas.mask()[0, 0])
        (True, False)
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._zoom = math.ceil(_FINEST / size[0])
        self._image = Image.new("L", (size[1] * self._zoom, size[0] * self._zoom))
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Sequence[Point], width: float, joint: Literal["curve"] | None = None) -> None:
        """A line through points, `width` px wide, its ends cut off square."""
        if known(*points):
            self._draw.line(self._flat(points), 1, max(1, round(width * self._zoom)), joint=joint)

    def disc(self, centre: Point, radius: float) -> None:
        """A disc."""
        self.ellipse(centre, radius, radius)

    def ellipse(self, centre: Point, half_width: float, half_height: float) -> None:
        """An upright ellipse."""
        if known(centre):
            half = np.array([half_width, half_height])
            self._draw.ellipse(self._flat([centre - half, centre + half]), 1)

    def rectangle(self, low: Point, high: Point) -> None:
        """An upright rectangle."""
        if known(low, high):
            self._draw.rectangle(self._flat([low, high]), 1)

    def polygon(self, points: Sequence[Point]) -> None:
        """A filled polygon."""
        if known(*points):
            self._draw.polygon(self._flat(points), 1)

    def mask(self) -> Mask:
        """(H, W) bool, True where something was drawn."""
        drawn = np.asarray(self._image)
        if self._zoom == 1:
            return drawn.astype(bool)
        height, width = self._size
        blocks = drawn.reshape(height, self._zoom, width, self._zoom).sum(axis=(1, 3), dtype=np.uint32)
        return blocks * 2 >= self._zoom**2

    def _flat(self, points: Sequence[Point]) -> list[float]:
        return [float(value) for point in points for value in np.asarray(point) * self._zoom]


def known(*points: Point) -> bool:
    """Whether none of the points is missing."""
    return all(math.isfinite(float(value)) for point in points for value in point)
