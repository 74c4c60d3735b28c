"""How image files are stored: the facts that the doctor judges and a registration writes down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._shared.io.images import read_header

# Quantisation of luminance in Annex K of the JPEG standard, from which nearly every encoder scales its tables; in the
# order of rows. Sums do not depend on the order, so zigzag or not does not matter.
_LUMINANCE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    ]
)


@dataclass(frozen=True)
class Stored:
    """How one image is stored.

    Attributes:
        format: PNG, JPEG, TIFF, BMP or WEBP.
        size: (height, width) as shown, after the EXIF orientation.
        mode: Pillow's name of the pixel type.
        bits: per channel.
        rotated: an EXIF orientation other than upright.
        has_alpha: transparency of any kind.
        jpeg_quality: as libjpeg counts, estimated from the tables; None for other formats.
    """

    format: str
    size: tuple[int, int]
    mode: str
    bits: int
    rotated: bool
    has_alpha: bool
    jpeg_quality: int | None


def stored(path: Path) -> Stored:
    """Read the header of an image.

    Raises:
        DataError: no image, or too large.
    """
    header = read_header(path)
    size = (header.height_px, header.width_px)
    quality = jpeg_quality(header.quantization[0]) if 0 in header.quantization else None
    return Stored(
        header.format,
        size[::-1] if header.orientation >= 5 else size,
        header.mode,
        header.bits,
        header.orientation != 1,
        header.has_alpha,
        quality,
    )


def jpeg_quality(table: tuple[int, ...]) -> int:
    """The quality, 1..100, at which libjpeg's luminance table sums up closest to this one; exact for its own tables.

    Example:
        >>> jpeg_quality(tuple([1] * 64))
        100
    """
    return 1 + int(np.argmin(np.abs(_SUMS - sum(table))))


def _scaled_sum(quality: int) -> int:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return int(((_LUMINANCE * scale + 50) // 100).clip(1, 255).sum())


_SUMS = np.array([_scaled_sum(quality) for quality in range(1, 101)])
