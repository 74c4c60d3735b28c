"""Image and mask sources -> grey arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .._shared.io.images import read_image, read_mask
from .pairs import ImageSource, MaskSource, Pair, RunLengths, ShardMember

DICOM_SUFFIXES = (".dcm", ".dicom")


def read_pixels(source: ImageSource) -> NDArray[np.float32]:
    """Grey values (H, W) float32 in [0, 1], 0 black (air), 1 white (bone).

    Colour files are reduced to luminance, transparency is dropped; DICOM films are brought to MONOCHROME2.

    Raises:
        DataError: the file is missing, damaged or no image.
    """
    if isinstance(source, np.ndarray):
        return _unit(source, float(np.iinfo(source.dtype).max) if source.dtype.kind in "ui" else 1.0)
    if isinstance(source, ShardMember):
        data = read_image(read_member(source), name=source.name, alpha="drop")
        return _unit(data.array, data.max_value)
    if source.suffix.lower() in DICOM_SUFFIXES:
        from .._shared.io.dicom import read_film

        film = read_film(source, voi=True)
        return _unit(film.array, film.max_value)
    data = read_image(source, alpha="drop")
    return _unit(data.array, data.max_value)


def read_pair_mask(pair: Pair) -> NDArray[np.uint8] | None:
    """Binary mask (H, W) of a sample: its own mask, else its boxes filled; None where nothing is annotated.

    Boxes are filled on a grid of 256 x 256: they have no pixels of their own.
    """
    if pair.mask is not None:
        return read_mask_source(pair.mask)
    return fill_boxes([region.box for region in pair.regions], 256) if pair.regions else None


def read_mask_source(source: MaskSource) -> NDArray[np.uint8]:
    """Binary mask (H, W) of 0 and 1.

    Raises:
        DataError: the file or the run lengths are damaged.
    """
    if isinstance(source, RunLengths):
        return decode_runs(source)
    if isinstance(source, np.ndarray):
        return (source > 0).astype(np.uint8)
    if isinstance(source, ShardMember):
        return read_mask(read_member(source), name=source.name, binary=True).array
    return read_mask(source, binary=True).array


def decode_runs(runs: RunLengths) -> NDArray[np.uint8]:
    """Decode the SIIM-ACR coding: (gap, length) pairs, column-major, the gap counted from the end of the last run.

    Raises:
        DataError: not whole numbers, an odd count, or a run beyond the image.

    Example:
        >>> mask = decode_runs(RunLengths(("5 3 10 2",), height=8, width=6))
        >>> mask[:, 0].tolist(), mask[:, 2].tolist()
        ([0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0, 0])
    """
    flat = np.zeros(runs.height * runs.width, np.uint8)
    for row in runs.rows:
        fields = row.split()
        if len(fields) % 2 or not all(field.isdecimal() and len(field) < 10 for field in fields):
            raise DataError(f"run lengths: expected pairs of whole numbers (gap, length), got {row[:40]!r}")
        place = 0
        for gap, length in zip(map(int, fields[::2]), map(int, fields[1::2]), strict=True):
            place += gap + length
            if place > flat.size:
                raise DataError(f"run lengths: a run ends at {place}, beyond {runs.width} x {runs.height} pixels")
            flat[place - length : place] = 1
    return flat.reshape(runs.width, runs.height).T.copy()


def encode_runs(mask: NDArray[np.uint8]) -> str:
    """Inverse of `decode_runs`; "" for an empty mask.

    Example:
        >>> encode_runs(decode_runs(RunLengths(("5 3 10 2",), height=8, width=6)))
        '5 3 10 2'
    """
    flat = np.concatenate([[0], mask.T.ravel() > 0, [0]]).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(flat) == 1), np.flatnonzero(np.diff(flat) == -1)
    gaps = starts - np.concatenate([[0], ends[:-1]]) if starts.size else starts
    return " ".join(f"{gap} {end - start}" for gap, start, end in zip(gaps, starts, ends, strict=True))


def fill_boxes(boxes: list[tuple[float, float, float, float]], side_px: int) -> NDArray[np.uint8]:
    """Mask (side_px, side_px) that is 1 inside any of the boxes (x0, y0, x1, y1), given as fractions."""
    mask = np.zeros((side_px, side_px), np.uint8)
    for x0, y0, x1, y1 in boxes:
        columns = slice(int(np.floor(x0 * side_px)), max(int(np.ceil(x1 * side_px)), 1))
        mask[int(np.floor(y0 * side_px)) : max(int(np.ceil(y1 * side_px)), 1), columns] = 1
    return mask


def read_member(member: ShardMember) -> bytes:
    """The bytes of a file in a shard.

    Raises:
        DataError: the shard is gone or shorter than it was.
    """
    try:
        with member.shard.open("rb") as stream:
            stream.seek(member.offset)
            content = stream.read(member.size)
    except OSError as err:
        raise DataError(f"{member.shard.name}: cannot be read ({err.strerror}); check the path") from err
    if len(content) < member.size:
        raise DataError(f"{member.shard.name}: shorter than its table of contents; run `cmcgns prepare` again")
    return content


def _unit(array: NDArray[Any], white: float) -> NDArray[np.float32]:
    grey = array.astype(np.float32)
    if grey.ndim == 3:
        grey = grey @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's mode L
    return np.clip(grey / np.float32(white), 0, 1)
