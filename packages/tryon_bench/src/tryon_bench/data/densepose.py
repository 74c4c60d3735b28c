"""DensePose: part indices from pictures and files, and pictures from part indices and UV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .._shared.io.images import read_image

PARTS = 25  # with background, which is 0
# OpenCV's colour map PARULA at i * 255 / 24, with black for the background: how detectron2 draws fine segmentation,
# and so, as far as we know, how the pictures of VITON-HD were made. A test compares it with OpenCV.
_COLOURS = np.array(
    [
        *((0, 0, 0), (37, 60, 163), (20, 80, 194), (4, 97, 223), (8, 110, 221), (14, 122, 216), (20, 132, 212)),
        *((15, 144, 208), (11, 156, 203), (6, 166, 198), (22, 173, 185), (38, 179, 172), (55, 185, 159)),
        *((86, 187, 144), (114, 189, 130), (145, 191, 116), (170, 189, 105), (192, 188, 96), (216, 186, 86)),
        *((228, 192, 74), (240, 199, 60), (252, 206, 46), (251, 220, 36), (250, 235, 25), (249, 251, 14)),
    ],
    dtype=np.uint8,
)


def part_colours(parts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture that VITON-HD's `image-densepose` holds.

    Args:
        parts: (H, W) indices 0..24.

    Returns:
        (H, W, 3) uint8, black background.
    """
    return _COLOURS[parts]


def uv_picture(parts: NDArray[np.uint8], uv: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Part index, U and V as the three channels, each scaled to 0..255: the IUV picture that methods are fed.

    Args:
        parts: (H, W) indices 0..24.
        uv: (2, H, W) in 0..1.

    Returns:
        (H, W, 3) uint8; zero outside of the body.
    """
    channels = [parts.astype(np.float64) / (PARTS - 1), *np.clip(uv, 0, 1)]
    picture = (np.stack(channels, axis=2) * 255).round().astype(np.uint8)
    picture[parts == 0] = 0
    return picture


def read_parts(path: Path) -> NDArray[np.uint8]:
    """Part indices from DressCode's gray map or from a picture in `part_colours`, JPEG or not.

    Returns:
        (H, W) uint8, 0..24. Along JPEG's blurred edges some pixels get a neighbour's index.

    Raises:
        DataError: damaged, indices above 24, or a picture in other colours.
    """
    array = read_image(path, alpha="drop").array
    if array.ndim == 2:
        if array.max() >= PARTS:
            raise DataError(
                f"{path.name}: part index {array.max()}; DensePose ends at {PARTS - 1}, is it a photo?"
            )
        return array.astype(np.uint8)
    return _nearest(array, path.name)


def read_uv(path: Path) -> NDArray[np.float32]:
    """DressCode's `<id>_5_uv.npz`.

    Returns:
        (2, H, W) float32 in 0..1.

    Raises:
        DataError: damaged, without a table `uv`, or of another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as tables:
            uv = np.asarray(tables["uv"], dtype=np.float32)
    except Exception as err:  # numpy's reader raises whatever the damaged archive leads to
        raise DataError(f"{path.name}: expected an .npz with a table `uv` of shape (2, H, W)") from err
    if uv.ndim != 3 or uv.shape[0] != 2 or not np.isfinite(uv).all():
        raise DataError(f"{path.name}: uv of shape {uv.shape}; expected (2, H, W), finite")
    return uv


def _nearest(picture: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Each pixel's nearest colour; most of a rendering is close to one of them."""
    pixels, colours = picture.reshape(-1, 3).astype(np.float32), _COLOURS.astype(np.float32)
    # |p - c|^2 without its constant |p|^2: one product instead of a (pixels, 25, 3) array
    squares = (colours**2).sum(axis=1) - 2 * pixels @ colours.T
    parts = squares.argmin(axis=1).astype(np.uint8)
    distance = np.abs(pixels - colours[parts]).max(axis=1)
    if np.median(distance[parts > 0] if (parts > 0).any() else distance) > 24:
        raise DataError(
            f"{name}: not drawn in detectron2's colours of parts; expected a gray map of 0..24 or those"
        )
    return parts.reshape(picture.shape[:2])
