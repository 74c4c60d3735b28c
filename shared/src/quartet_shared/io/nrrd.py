"""NRRD volumes with attached data, raw or gzip; the fields that place a 3-D scan in space.

Detached headers, other encodings and more than one component per voxel are refused. The format:
teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .volumes import MAX_VOXELS, Volume, new_volume

_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    "float": "f4",
    "double": "f8",
}
_TO_RAS = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1.0, -1.0, 1.0)),
}
_MAX_HEADER = 2**16


def read_nrrd(path: Path, *, max_voxels: int = MAX_VOXELS) -> Volume:
    """Read a 3-D `.nrrd` scan or label map in canonical orientation; the array keeps the file's type.

    Args:
        path: the file.
        max_voxels: refuse larger volumes before inflating.

    Raises:
        DataError: not NRRD, truncated, not 3-D, not placed in space, of another encoding or type, too large, or with
            voxels that are not finite.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise DataError(f"{path.name}: cannot be read ({err.strerror}); expected an .nrrd volume") from err
    fields, start = _header(data, path.name)
    kind, shape = _kind(fields, path.name), _shape(fields, path.name, max_voxels)
    needed = int(np.prod(shape)) * kind.itemsize
    raw = _voxels(data[start:], fields.get("encoding", "").lower(), needed, path.name)
    array = np.frombuffer(raw, kind).reshape(shape, order="F").astype(kind.newbyteorder("="))
    if not np.isfinite(array).all():
        raise DataError(f"{path.name}: holds NaN or infinite voxels; repair the file")
    return replace(new_volume(array, _affine(fields, path.name)), name=path.name)


def _header(data: bytes, name: str) -> tuple[dict[str, str], int]:
    """The fields, and where the voxels start."""
    match = re.search(rb"\r?\n\r?\n", data[:_MAX_HEADER])
    if not data.startswith(b"NRRD000") or match is None:
        raise DataError(f"{name}: not an NRRD file with its voxels in it; convert it")
    fields: dict[str, str] = {}
    for line in data[: match.start()].decode("utf-8", "replace").splitlines()[1:]:
        key, separator, value = line.partition(": ")
        if separator and not line.startswith("#"):
            fields[key.strip().lower()] = value.strip()
    if "data file" in fields or "datafile" in fields:
        raise DataError(f"{name}: its voxels are in another file; attach them")
    return fields, match.end()


def _kind(fields: dict[str, str], name: str) -> np.dtype[Any]:
    text = fields.get("type", "").lower()
    if text not in _TYPES:
        raise DataError(f"{name}: voxel type {text[:20]!r} is not supported; expected integers or real numbers")
    return np.dtype(_TYPES[text]).newbyteorder(">" if fields.get("endian", "little").lower() == "big" else "<")


def _shape(fields: dict[str, str], name: str, max_voxels: int) -> tuple[int, ...]:
    sizes = fields.get("sizes", "").split()
    if len(sizes) != 3 or not all(s.isdigit() and 0 < int(s) < 2**31 for s in sizes):
        raise DataError(f"{name}: sizes are {' '.join(sizes)[:40]!r}; expected three positive numbers")
    shape = tuple(int(s) for s in sizes)
    if np.prod(shape, dtype=np.float64) > max_voxels:
        raise DataError(f"{name}: {'x'.join(sizes)} voxels are more than the limit of {max_voxels}")
    return shape


def _voxels(data: bytes, encoding: str, needed: int, name: str) -> bytes:
    if encoding in ("gzip", "gz"):
        try:
            data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, needed)
        except zlib.error as err:
            raise DataError(f"{name}: damaged; its voxels cannot be inflated") from err
    elif encoding != "raw":
        raise DataError(f"{name}: encoding {encoding[:20]!r} is not supported; expected raw or gzip")
    if len(data) < needed:
        raise DataError(f"{name}: truncated; {len(data)} of {needed} bytes of voxels are there")
    return data[:needed]


def _affine(fields: dict[str, str], name: str) -> NDArray[np.float64]:
    signs = _TO_RAS.get(fields.get("space", "").lower())
    vectors = re.findall(r"\(([^)]*)\)", fields.get("space directions", ""))
    origin = re.findall(r"\(([^)]*)\)", fields.get("space origin", ""))
    try:
        columns = [[float(v) for v in text.split(",")] for text in [*vectors, *origin]]
    except ValueError:
        columns = []
    if signs is None or len(columns) != 4 or any(len(column) != 3 for column in columns):
        raise DataError(f"{name}: not placed in a patient's space; expected space, space directions and origin")
    affine = np.eye(4)
    affine[:3] = np.array(columns).T * np.array(signs)[:, None]
    return affine
