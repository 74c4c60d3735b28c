"""PNG, JPEG, TIFF, BMP and WebP images, and masks stored as images.

The only caller of `PIL.Image.open`. Size is checked before decoding; every conversion of mode is written down here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..errors import ConfigError, DataError, ResourceError
from ..files import atomic_path
from .bounded import BoundedReader

MAX_PIXELS = 64_000_000
_ORIENTATION = 0x0112  # EXIF
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
_TO_RGB = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV")
_TO_GREY = ("L", "LA", "1")


@dataclass(frozen=True, eq=False)
class ImageData:
    """A decoded image, upright.

    Attributes:
        array: (H, W) grey or (H, W, 3) RGB; uint8, or uint16 for 16-bit grey.
        max_value: value of white, 255 or 65535.
    """

    array: NDArray[Any]
    max_value: int


@dataclass(frozen=True, eq=False)
class MaskData:
    """A decoded mask, upright.

    Attributes:
        array: (H, W) label ids, uint8 or uint16; 0 and 1 for a binary mask.
        ambiguous_pixels: pixels of a binary mask between 10 and 90 % of its foreground value (soft edges), which
            were assigned to the nearer class.
    """

    array: NDArray[Any]
    ambiguous_pixels: int = 0


@dataclass(frozen=True)
class ImageHeader:
    """How an image is stored, before any conversion.

    Attributes:
        format: PNG, JPEG, TIFF, BMP or WEBP.
        width_px: as stored, before the EXIF orientation is applied.
        height_px: likewise.
        mode: Pillow's name of the pixel type, such as RGB, P, CMYK.
        bits: per channel.
        orientation: EXIF value, 1 is upright.
        has_alpha: transparency of any kind.
        quantization: JPEG's tables, empty for other formats.
    """

    format: str
    width_px: int
    height_px: int
    mode: str
    bits: int
    orientation: int
    has_alpha: bool
    quantization: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


def read_header(path: Path | bytes, *, max_pixels: int = MAX_PIXELS, name: str = "") -> ImageHeader:
    """Read how an image is stored; its pixels stay undecoded, so a truncated file may pass.

    Raises:
        DataError: no image, too large, or several frames.
    """
    name = name or _name(path)
    with _opened(path, name, max_pixels) as image:
        tile = getattr(image, "tile", None)
        raw_mode = str(tile[0].args) if tile else ""
        tables = getattr(image, "quantization", None) or {}
        return ImageHeader(
            "JPEG" if image.format == "MPO" else str(image.format),
            *image.size,
            mode=image.mode,
            bits=16 if ";16" in raw_mode or ";16" in image.mode or image.mode in ("I", "F") else 8,
            orientation=int(image.getexif().get(_ORIENTATION, 1)),
            has_alpha=bool(image.has_transparency_data),
            quantization={key: tuple(table) for key, table in tables.items()},
        )


def read_image(
    path: Path | bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    alpha: Literal["error", "drop"] = "error",
    name: str = "",
) -> ImageData:
    """Read an image; its EXIF orientation is applied.

    16-bit grey stays 16-bit (16-bit colour is reduced to 8 by Pillow), 1-bit becomes 0 and 255, palettes, CMYK and
    YCbCr become RGB.

    Args:
        path: the file, or its bytes; the content decides the format.
        max_pixels: refuse larger images before decoding. Pillow refuses above 179 million in any case.
        alpha: refuse transparency, or drop it without blending.
        name: what messages call it; the file's name by default.

    Raises:
        DataError: no image, damaged, too large, several frames, floating point, or transparent.
        ResourceError: the image does not fit the memory.
    """
    name = name or _name(path)
    with _decoded(path, name, max_pixels) as image:
        if alpha == "error" and image.has_transparency_data:
            raise DataError(f"{name}: has an alpha channel; expected an opaque image, flatten it or drop alpha")
        array = _pixels(image, name)
    return ImageData(array, np.iinfo(array.dtype).max)


def read_mask(
    path: Path | bytes, *, binary: bool | None = None, max_pixels: int = MAX_PIXELS, name: str = ""
) -> MaskData:
    """Read a mask: grey values or palette indices are label ids; RGB is taken where its channels are equal.

    Grey PNGs of 2 or 4 bits are scaled to 8 by Pillow; store label ids with 8 bits or a palette.

    Args:
        path: the file, or its bytes.
        binary: True thresholds at half of the foreground value, so 0/1, 0/255 and soft edges all become 0/1; False
            keeps label ids; None is True where the largest value is 255.
        max_pixels: refuse larger images before decoding.
        name: what messages call it; the file's name by default.

    Raises:
        DataError: as `read_image`, coloured or transparent pixels, or, for a binary mask, values that are neither.
        ResourceError: the mask does not fit the memory.
    """
    name = name or _name(path)
    with _decoded(path, name, max_pixels) as image:
        values = np.asarray(image) if image.mode in ("P", "1") else _grey(image, name)
    values = values.astype(np.uint8) if values.dtype == bool else values
    top = int(values.max())
    if binary is None:
        binary = top == 255
    return _threshold(values, top, name) if binary else MaskData(values)


def write_png(path: Path, array: NDArray[Any]) -> None:
    """Write a PNG atomically, without metadata.

    Args:
        path: ends in `.png`.
        array: (H, W) uint8 or uint16, or (H, W, 3) uint8.

    Raises:
        ConfigError: another suffix.
        DataError: another type or shape.
        ResourceError: the file cannot be written; an existing one is left as it was.
    """
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path.name}: expected a name ending in .png")
    grey = array.ndim == 2 and array.dtype in (np.uint8, np.uint16)
    if array.size == 0 or not (grey or (array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8)):
        raise DataError(
            f"{path.name}: expected (H, W) or (H, W, 3) uint8, or (H, W) uint16, got {array.shape} {array.dtype}"
        )
    with atomic_path(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(array)).save(temporary, format="PNG")


@contextmanager
def _decoded(path: Path | bytes, name: str, max_pixels: int) -> Iterator[Image.Image]:
    """The upright image."""
    with _opened(path, name, max_pixels) as image:
        image.load()
        yield ImageOps.exif_transpose(image)


@contextmanager
def _opened(path: Path | bytes, name: str, max_pixels: int) -> Iterator[Image.Image]:
    """The image before it is decoded; the one place where Pillow's exceptions become ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on metadata, and on sizes that are checked below
            file = BytesIO(path) if isinstance(path, bytes) else BoundedReader(path)
            with file, Image.open(file, formats=_FORMATS) as image:
                _require_size(image, name, max_pixels)
                yield image
    except DataError:
        raise
    except MemoryError as err:
        raise ResourceError(f"{name}: the image does not fit the memory; make it smaller") from err
    except Image.DecompressionBombError as err:
        raise DataError(f"{name}: more pixels than Pillow's limit; make it smaller") from err
    except (FileNotFoundError, PermissionError, IsADirectoryError) as err:
        raise DataError(f"{name}: cannot be read ({err.strerror}); check the path") from err
    except Exception as err:  # Pillow's readers raise whatever a damaged field leads to
        raise DataError(
            f"{name}: cannot be decoded; expected a whole PNG, JPEG, TIFF, BMP or WebP image, replace the file"
        ) from err


def _name(source: Path | bytes) -> str:
    return "image" if isinstance(source, bytes) else source.name


def _require_size(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise DataError(
            f"{name}: {width} x {height} pixels are more than the limit of {max_pixels}; make it smaller"
        )
    # MPO is a photo with previews of itself
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{name}: holds several images; expected one, save the frames as files")


def _pixels(image: Image.Image, name: str) -> NDArray[Any]:
    if image.mode in _TO_RGB:
        return np.asarray(image.convert("RGB"))
    if image.mode in _TO_GREY:
        return np.asarray(image.convert("L"))
    array = np.asarray(image)
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.min() < 0 or array.max() > 65535:
        raise DataError(f"{name}: pixel type {image.mode} is not supported; save it with 8 or 16 bits per channel")
    return array.astype(np.uint16)


def _grey(image: Image.Image, name: str) -> NDArray[Any]:
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise DataError(f"{name}: transparent pixels in a mask; save it without alpha channel")
    array = _pixels(image, name)
    if array.ndim == 2:
        return array
    coloured = (array != array[..., :1]).any(axis=2)
    if coloured.any():
        found = [tuple(int(v) for v in colour) for colour in np.unique(array[coloured], axis=0)[:3]]
        raise DataError(
            f"{name}: coloured pixels {found} in a mask; expected grey values or palette indices as labels"
        )
    return array[..., 0]


def _threshold(values: NDArray[Any], top: int, name: str) -> MaskData:
    levels = np.unique(values)
    foreground = top if len(levels) <= 2 else 65535 if top > 255 else 255
    if top and top * 2 <= foreground:
        raise DataError(
            f"{name}: values {levels[:5].tolist()}.. up to {top}; expected a binary mask, 0/1 or 0/255"
        )
    between = levels[(levels > 0) & (levels < foreground)]
    if top == foreground and between.size and between[-1] <= 0.1 * foreground:  # soft edges would spread further
        raise DataError(
            f"{name}: label ids up to {between[-1]} beside {top}, a void value? expected a binary mask or label ids "
            "only; map the void value to a class"
        )
    soft = int(np.count_nonzero((values > 0.1 * foreground) & (values < 0.9 * foreground)))
    if soft * 2 > values.size:
        raise DataError(
            f"{name}: {soft} of {values.size} pixels are neither background nor foreground; is this the image?"
        )
    return MaskData((values > foreground / 2).astype(np.uint8), soft)
