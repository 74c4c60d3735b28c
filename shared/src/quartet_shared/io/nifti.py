"""One checked NIfTI file: header and voxels as stored.

The header is checked before any voxel is allocated, so a damaged or hostile file costs neither time nor memory.
Extensions, which may name a patient, are never read.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from ..errors import DataError, ResourceError

_MAX_OFFSET = 2**24  # bytes before the voxels; real headers with extensions take kilobytes
_MAX_DEFLATE_RATIO = 1032  # the format's own bound: a smaller gzip file cannot hold the voxels it claims


def read_nifti(path: Path, max_voxels: int) -> tuple[NDArray[Any], nib.Nifti1Header]:
    """Voxels (I, J, K) as stored (native byte order, unscaled) and the header without extensions."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        available = path.stat().st_size * (_MAX_DEFLATE_RATIO if packed else 1)
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if packed else file
        header = _read_header(stream, path.name)
        shape = _require_shape(header, path.name, max_voxels)
        require_affine(header.get_best_affine(), path.name)
        stored = header.get_data_dtype()
        if stored.kind not in "iuf" or stored.itemsize > 8:
            raise DataError(
                f"{path.name}: voxel type {stored} is not supported; expected integers or real numbers"
            )
        needed = int(np.prod(shape, dtype=np.int64)) * stored.itemsize
        offset = int(header["vox_offset"]) or int(header["sizeof_hdr"]) + 4
        if offset + needed > available:
            raise DataError(f"{path.name}: truncated; the header promises {needed} bytes of voxels")
        stream.seek(offset)
        data = _read_exactly(stream, needed, path.name)
    raw = data.view(stored).reshape(shape, order="F")
    return raw.astype(stored.newbyteorder("="), copy=False), header


def _read_header(stream: IO[bytes], name: str) -> nib.Nifti1Header:
    block = stream.read(540)
    is_nifti2 = block[4:12] in (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")
    size, kind = (540, nib.Nifti2Header) if is_nifti2 else (348, nib.Nifti1Header)
    if not is_nifti2 and block[344:348] != b"n+1\0":
        raise DataError(f"{name}: not a single-file NIfTI (.nii or .nii.gz); convert it")
    if len(block) < size:
        raise DataError(f"{name}: truncated inside the header")
    header = kind(block[:size], check=False)
    zooms = header["pixdim"][1:4]
    if not (np.isfinite(zooms).all() and (zooms > 0).all()):
        raise DataError(f"{name}: voxel sizes are {[float(z) for z in zooms]} mm; expected positive numbers")
    if not 0 <= header["vox_offset"] <= _MAX_OFFSET:
        raise DataError(f"{name}: voxels start at byte {float(header['vox_offset']):g}; the header is damaged")
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1  # NIfTI-1: "if qfac is 0, 1 is used"
    return header


def _require_shape(header: nib.Nifti1Header, name: str, max_voxels: int) -> tuple[int, int, int]:
    sizes = [int(n) for n in header["dim"]]
    shape = sizes[1 : sizes[0] + 1] if 1 <= sizes[0] <= 7 else []
    if not shape or min(shape) < 1:
        raise DataError(f"{name}: dimensions {sizes} are not valid; the header is damaged")
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) != 3:
        raise DataError(f"{name}: expected a 3-D volume, got {len(shape)}-D {tuple(shape)}; split or select")
    voxels = shape[0] * shape[1] * shape[2]
    if voxels > max_voxels:
        raise DataError(f"{name}: {'x'.join(map(str, shape))} voxels are more than the limit of {max_voxels}")
    return shape[0], shape[1], shape[2]


def require_affine(affine: NDArray[np.float64], name: str) -> None:
    """Check that an affine (4, 4) is finite and invertible.

    Raises:
        DataError: it is not; the message shows it.
    """
    if affine.shape == (4, 4) and np.isfinite(affine).all():
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if lengths.all() and abs(np.linalg.det(affine[:3, :3] / lengths)) > 1e-6:
            return
    raise DataError(
        f"{name}: affine {affine_text(affine)} is not invertible; restore the header from the source scan"
    )


def _read_exactly(stream: IO[bytes], size: int, name: str) -> NDArray[np.uint8]:
    data = np.empty(size, np.uint8)
    view, done = data.data, 0
    while done < size:
        read = cast("io.BufferedReader", stream).readinto(view[done : done + 2**24])
        if not read:
            raise DataError(f"{name}: truncated; {done} of {size} bytes of voxels are there")
        done += read
    stream.read(1)  # the end of a gzip file carries its checksum
    return data


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The one place where the exceptions of nibabel, gzip and the file system become ours."""
    try:
        yield
    except DataError:
        raise
    except MemoryError as err:
        raise ResourceError(f"{path.name}: the volume does not fit the memory; crop or resample it") from err
    except (OSError, EOFError, zlib.error) as err:
        reason = getattr(err, "strerror", None) or "damaged or truncated file"
        raise DataError(f"{path.name}: cannot be read ({reason}); expected a .nii or .nii.gz volume") from err
    except (ArithmeticError, LookupError, ValueError, HeaderDataError, WrapStructError) as err:
        raise DataError(f"{path.name}: the NIfTI header is damaged; restore the file from its source") from err


def affine_text(affine: NDArray[np.float64]) -> str:
    """The upper three rows with six significant digits, for messages."""
    return str([[float(f"{v:.6g}") for v in row] for row in affine[:3]])
