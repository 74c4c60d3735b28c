"""Thumbnails for the pages: photos, difference maps, metric maps."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from ..engine.images import decode
from ..metrics.structural import ssim_map
from ..resize import resize_uint8

HEIGHT_PX = 224


def thumbnail(image: NDArray[np.uint8], height_px: int = HEIGHT_PX) -> str:
    """A JPEG of that height as a data address."""
    from PIL import Image

    width = max(1, round(image.shape[1] * height_px / image.shape[0]))
    small = resize_uint8(image, (height_px, width), "pillow_lanczos")
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def pictures_of(files: Mapping[str, str]) -> dict[str, str]:
    """Thumbnails of one pair: photo, garment, and for every method its result, difference and SSIM map.

    Args:
        files: role -> path: "photo", "garment", "method:<name>".

    Returns:
        role -> data address; "difference:<name>" and "map:<name>" beside the results. An image that cannot be read
        has no entry, and the page says so in its place.
    """
    found: dict[str, str] = {}
    loaded: dict[str, NDArray[np.uint8]] = {}
    for role, path in files.items():
        try:
            loaded[role] = decode(Path(path))
        except DataError:
            continue
        found[role] = thumbnail(loaded[role])
    photo = loaded.get("photo")
    for role, image in loaded.items():
        if photo is None or not role.startswith("method:"):
            continue
        name = role.removeprefix("method:")
        result = resize_uint8(image, (photo.shape[0], photo.shape[1]), "pillow_bicubic")
        found[f"difference:{name}"] = thumbnail(_difference(result, photo))
        if min(photo.shape[:2]) >= 11:
            found[f"map:{name}"] = thumbnail(_similarity(result, photo))
    return found


def _difference(result: NDArray[np.uint8], photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Absolute difference, three times as bright, so that a tenth of the range can be seen."""
    difference = np.abs(result.astype(np.int16) - photo).max(axis=2) * 3
    return _shaded(difference.clip(0, 255) / 255)


def _similarity(result: NDArray[np.uint8], photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 - SSIM at every pixel."""
    return _shaded((1 - ssim_map(result, photo)).clip(0, 1))


def _shaded(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Values in 0..1 from black over violet and orange to pale yellow (matplotlib's inferno)."""
    from matplotlib import colormaps

    return (colormaps["inferno"](values)[:, :, :3] * 255).round().astype(np.uint8)
