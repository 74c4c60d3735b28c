"""Images as a protocol sees them: decoded once, then brought to each protocol's size."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .._shared.io.images import read_image
from ..jpeg import through_jpeg
from ..protocol.schema import Protocol
from ..resize import resize_mask, resize_uint8


class Form(NamedTuple):
    """What a protocol does to pixels before a metric sees them; protocols of one form share all work on images."""

    height_px: int | None
    width_px: int | None
    resampler: str
    prediction_jpeg_quality: int | None
    reference_jpeg_quality: int | None
    jpeg_step: str

    @classmethod
    def of(cls, protocol: Protocol) -> Form:
        """The form of a protocol."""
        return cls(*(getattr(protocol, name) for name in cls._fields))


def decode(path: Path) -> NDArray[np.uint8]:
    """An 8-bit RGB image; gray becomes three equal channels, transparency is refused.

    Raises:
        DataError: damaged, transparent, or of more than 8 bits.
    """
    array = read_image(path).array
    if array.dtype != np.uint8:
        raise DataError(f"{path.name}: 16 bits per channel; expected 8, save it as an 8-bit image")
    return array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2)


def bring(
    image: NDArray[np.uint8], form: Form, native: tuple[int, int], jpeg_quality: int | None
) -> NDArray[np.uint8]:
    """Resize; the JPEG step, if the form has one, comes before, or after for what was resized.

    Args:
        image: (H, W, 3) uint8 as decoded.
        form: what the protocol does.
        native: size of the reference, which a missing height or width stands for.
        jpeg_quality: of this side's JPEG step.
    """
    size = (form.height_px or native[0], form.width_px or native[1])
    after = form.jpeg_step == "after_resize"
    if jpeg_quality is not None and not after:
        image = through_jpeg(image, jpeg_quality)
    resized = resize_uint8(image, size, form.resampler)  # type: ignore[arg-type]
    if jpeg_quality is not None and after and image.shape[:2] != size:
        resized = through_jpeg(resized, jpeg_quality)
    return resized


def bring_mask(mask: NDArray[np.bool_], form: Form, native: tuple[int, int]) -> NDArray[np.bool_]:
    """Resize a mask that lies on the reference's grid."""
    return resize_mask(mask, (form.height_px or native[0], form.width_px or native[1]))
