"""One photo's way into a canvas of another shape: scaled as a whole, centred, padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..agnostic.recipes import resize_labels
from ..resize import resize_mask, resize_uint8

Mask = NDArray[np.bool_]
Padding = Literal["edge", "white", "gray"]

_VALUES = {"white": 255, "gray": 128}


@dataclass(frozen=True)
class Letterbox:
    """Where a photo lies in the canvas.

    Attributes:
        source: (height, width) of the photo, px.
        target: (height, width) of the canvas, px.

    Example:
        >>> box = Letterbox((100, 100), (1024, 768))
        >>> box.inner, box.corner
        ((768, 768), (128, 0))
        >>> box.points(np.array([[50.0, 50.0]])).tolist()
        [[384.0, 512.0]]
    """

    source: tuple[int, int]
    target: tuple[int, int]

    @property
    def inner(self) -> tuple[int, int]:
        """(height, width) of the scaled photo, px."""
        scale = min(self.target[0] / self.source[0], self.target[1] / self.source[1])
        return max(1, round(self.source[0] * scale)), max(1, round(self.source[1] * scale))

    @property
    def corner(self) -> tuple[int, int]:
        """(top, left) of the scaled photo, px."""
        return (self.target[0] - self.inner[0]) // 2, (self.target[1] - self.inner[1]) // 2

    def photo(self, image: NDArray[np.uint8], padding: Padding) -> NDArray[np.uint8]:
        """(H, W, 3) with the border's colours continued, or one colour around it."""
        scaled, margins = resize_uint8(image, self.inner, "pillow_lanczos"), (*self._margins, (0, 0))
        if padding == "edge":
            return np.pad(scaled, margins, mode="edge")
        return np.pad(scaled, margins, constant_values=_VALUES[padding])

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W) or (H, W, 3) by nearest neighbour, 0 outside of the photo."""
        margins = (*self._margins, *((0, 0),) * (labels.ndim - 2))
        return np.pad(resize_labels(labels, self.inner), margins)

    def mask(self, mask: Mask) -> Mask:
        """(H, W) by area, False outside of the photo."""
        return np.pad(resize_mask(mask, self.inner), self._margins)

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2 or more): x and y moved along, further columns as they are."""
        moved = points.copy()
        scale = [self.inner[1] / self.source[1], self.inner[0] / self.source[0]]
        moved[:, :2] = points[:, :2] * scale + self.corner[::-1]
        return moved

    def inside(self) -> Mask:
        """(H, W), True where the photo is."""
        return np.pad(np.ones(self.inner, bool), self._margins)

    @property
    def _margins(self) -> tuple[tuple[int, int], tuple[int, int]]:
        (top, left), (height, width) = self.corner, self.inner
        return (top, self.target[0] - height - top), (left, self.target[1] - width - left)
