"""Photos of any size in the frame that the networks work at, and results back at the photo's size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..prepare.letterbox import Letterbox
from ..resize import resize_uint8

Pixels = NDArray[np.uint8]


class Squeezed(Letterbox):
    """The photo fills the frame, whatever happens to its proportions."""

    @property
    def inner(self) -> tuple[int, int]:
        """The frame's own size."""
        return self.target


def frame_of(photo: Pixels, size: tuple[int, int], *, squeeze: bool = False) -> Letterbox:
    """Where a photo lies in the networks' picture: whole and centred, or squeezed.

    Args:
        photo: (H, W, 3).
        size: (height, width) of the frame.
        squeeze: fill the frame instead of padding.
    """
    native = (photo.shape[0], photo.shape[1])
    return Squeezed(native, size) if squeeze else Letterbox(native, size)


def undone(image: Pixels, frame: Letterbox) -> Pixels:
    """A picture of the frame without its padding, at the photo's size.

    Args:
        image: (h, w, 3) of the frame's size.
        frame: of the photo.
    """
    (top, left), (height, width) = frame.corner, frame.inner
    inner = np.ascontiguousarray(image[top : top + height, left : left + width])
    return resize_uint8(inner, frame.source, "pillow_lanczos")
