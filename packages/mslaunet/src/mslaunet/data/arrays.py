"""`.npz` and `.npy.h5` files: sizes are checked before anything is allocated, pickles are never read.

With `numpy.load` of caches of our own, the only caller of numpy's and h5py's readers.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.errors import DataError, ResourceError
from .._shared.io.volumes import MAX_VOXELS

IMAGE_KEYS = ("image", "img")
LABEL_KEYS = ("label", "mask")
ARRAY_SUFFIXES = (".npz", ".npy.h5", ".h5", ".hdf5")
_MAX_HEADER = 2**16


def is_array_file(path: Path) -> bool:
    """True when the name ends like a numpy archive or an HDF5 file."""
    return path.name.lower().endswith(ARRAY_SUFFIXES)


def read_array_pair(
    path: Path, *, image: bool = True, max_values: int = MAX_VOXELS
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Image (H, W) or (D, H, W) float32 and label ids of the same shape, int32.

    Either is None where the file has none; the image also where it is not wanted. Keys are image or img, label or
    mask; numbers may have any integer or floating type.

    Args:
        path: the file; its content decides the format.
        image: also read the image.
        max_values: refuse larger arrays before allocating.

    Raises:
        DataError: not such a file, damaged, too large, other shapes, non-finite intensities or labels that are not
            whole numbers.
        ResourceError: the array does not fit the memory.
    """
    with _translated(path):
        pixels = _read_first(path, IMAGE_KEYS, max_values) if image else None
        labels = _read_first(path, LABEL_KEYS, max_values)
    if pixels is not None:
        pixels = _finite(pixels, path.name)
    if labels is not None:
        labels = _whole(labels, path.name)
    if pixels is not None and labels is not None and pixels.shape != labels.shape:
        raise DataError(f"{path.name}: image is {pixels.shape}, label {labels.shape}; expected one shape")
    if pixels is None and image:
        raise DataError(f"{path.name}: no array {' or '.join(IMAGE_KEYS)} in it; expected one beside the label")
    return pixels, labels


def _read_first(path: Path, keys: Sequence[str], max_values: int) -> np.ndarray | None:
    with path.open("rb") as file:
        magic = file.read(8)
    if magic == b"\x89HDF\r\n\x1a\n":
        return _read_h5(path, keys, max_values)
    if magic[:4] == b"PK\x03\x04":
        return _read_npz(path, keys, max_values)
    raise DataError(f"{path.name}: neither a numpy archive (.npz) nor HDF5 (.h5); replace the file")


def _read_npz(path: Path, keys: Sequence[str], max_values: int) -> np.ndarray | None:
    with np.load(path, allow_pickle=False) as archive:
        key = next((k for k in keys if k in archive.files), None)
        if key is None:
            return None
        name = f"{key}.npy" if f"{key}.npy" in archive.zip.namelist() else key
        with archive.zip.open(name) as member:
            shape, dtype = _npy_header(member, path.name)
        _require_plain(shape, dtype, path.name, max_values)
        claimed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if not claimed <= archive.zip.getinfo(name).file_size <= claimed + _MAX_HEADER:
            raise DataError(f"{path.name}: {key} promises {claimed} bytes, its archive holds another number")
        return np.asarray(archive[key])


def _npy_header(member: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(member)
    if version not in readers:
        raise DataError(f"{name}: numpy format {version} is not supported; save it again with numpy.savez")
    shape, _, dtype = readers[version](member)
    return shape, dtype


def _read_h5(path: Path, keys: Sequence[str], max_values: int) -> np.ndarray | None:
    import h5py

    with h5py.File(path, "r") as file:
        key = next((k for k in keys if isinstance(file.get(k, getlink=True), h5py.HardLink)), None)
        if key is None:
            return None
        data = file[key]
        if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
            raise DataError(f"{path.name}: {key} is no array of this file (a group, or a link to another file)")
        _require_plain(data.shape or (), data.dtype, path.name, max_values)
        return np.asarray(data[()])


def _require_plain(shape: Sequence[int], dtype: np.dtype[Any], name: str, max_values: int) -> None:
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise DataError(f"{name}: values of type {dtype.name}; expected integers or real numbers")
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise DataError(f"{name}: array of shape {tuple(shape)}; expected (H, W) or (D, H, W)")
    if int(np.prod(shape, dtype=np.float64)) > max_values:
        raise DataError(f"{name}: array of shape {tuple(shape)} has more than {max_values} values")


def _finite(array: np.ndarray, name: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        result = array.astype(np.float32)
    if bad := int(np.count_nonzero(~np.isfinite(result))):
        raise DataError(f"{name}: {bad} of {array.size} intensities are NaN or infinite; repair the file")
    return result


def _whole(array: np.ndarray, name: str) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        bad = ~((array >= 0) & (array < 2**31) & (array == np.rint(array)))
    if bad.any():
        raise DataError(f"{name}: {int(bad.sum())} labels are no whole numbers from 0; is the image in its place?")
    return array.astype(np.int32)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """The one place where the exceptions of numpy, zipfile and h5py become ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except MemoryError as err:
        raise ResourceError(f"{path.name}: the array does not fit the memory") from err
    except OSError as err:
        reason = err.strerror or "damaged or truncated file"
        raise DataError(f"{path.name}: cannot be read ({reason}); expected .npz or .h5") from err
    except (Exception, zlib.error) as err:  # both libraries raise whatever a damaged field leads to
        raise DataError(f"{path.name}: damaged ({type(err).__name__}); copy it again from its source") from err
