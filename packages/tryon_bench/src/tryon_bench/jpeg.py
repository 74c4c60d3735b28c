"""What JPEG leaves of an image: a step of some pipelines, and the trace by which the doctor knows a pasted photo."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from ._shared.io.images import read_image


def through_jpeg(image: NDArray[np.uint8], quality: int, *, subsampling: int = -1) -> NDArray[np.uint8]:
    """An image after Pillow has stored it as JPEG.

    Args:
        image: (H, W, 3) uint8.
        quality: 1 to 100.
        subsampling: of chroma: 0 none, 2 by two in both directions, -1 Pillow's default (by two).
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(read_image(buffer.getvalue(), name="re-encoded image").array)
