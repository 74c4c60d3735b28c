"""NIfTI volumes: read into canonical orientation, written back onto the source's own grid.

With `nifti`, the only caller of nibabel. Header extensions and free-text fields, which may name a patient, are never
copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import DTypeLike, NDArray

from ..errors import ConfigError, DataError
from ..files import atomic_path
from .nifti import affine_text, read_nifti, require_affine, translated

MAX_VOXELS = 2**29  # 512 x 512 x 2048, a whole-body CT; 2 GiB as float32
_GRID_FIELDS = (
    *("qform_code", "sform_code", "xyzt_units", "srow_x", "srow_y", "srow_z"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
)


@dataclass(frozen=True, eq=False)
class VolumeGeometry:
    """How a volume lies in its file; what `write_volume` restores bit by bit.

    Attributes:
        shape: (I, J, K) voxels in file order.
        affine: (4, 4) float64, file voxel index -> mm in RAS+ world coordinates.
        orientation: where the file's axes point, e.g. "LPS".
        axes: (3, 2) nibabel orientation array, file axes -> canonical axes.
        header: the geometry fields of a fresh header; holds no text of the source.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    orientation: str
    axes: NDArray[np.float64]
    header: nib.Nifti1Header


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D scan or label map in canonical (RAS+) orientation.

    Attributes:
        array: (X, Y, Z); x grows to the patient's right, y to anterior, z to superior.
        affine: (4, 4) float64, index of `array` -> mm in RAS+ world coordinates.
        spacing_mm: (3,) voxel size along X, Y, Z.
        source: the geometry in the file.
        name: the file's name, for messages.
        nonfinite_voxels: NaN and infinite voxels that were set to 0 on request.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    source: VolumeGeometry
    name: str = "volume"
    nonfinite_voxels: int = 0


def read_volume(
    path: Path,
    *,
    dtype: type[np.floating[Any]] = np.float32,
    max_voxels: int = MAX_VOXELS,
    nonfinite: Literal["error", "zero"] = "error",
) -> Volume:
    """Read a 3-D `.nii` or `.nii.gz` scan; the intensity scaling of its header is applied.

    Trailing axes of length 1 are dropped.

    Args:
        path: the file; its content decides the compression, not its name.
        dtype: floating type of the result.
        max_voxels: refuse larger volumes before allocating.
        nonfinite: refuse NaN and infinite voxels, or set them to 0 and count them.

    Raises:
        DataError: not NIfTI, truncated, not 3-D, unusable affine, too large, or non-finite voxels.
        ResourceError: the volume does not fit the memory.
    """
    with translated(path):
        raw, header = read_nifti(path, max_voxels)
        with np.errstate(all="ignore"):  # what overflows is counted as non-finite below
            array = apply_read_scaling(raw, *header.get_slope_inter()).astype(dtype, copy=False)
        bad = ~np.isfinite(array)
        count = int(np.count_nonzero(bad))
        if count and nonfinite == "error":
            raise DataError(
                f"{path.name}: {count} of {array.size} voxels are NaN or infinite; expected finite intensities, "
                "repair the file"
            )
        if count:
            array[bad] = 0
        return _canonical(array, header, path.name, count)


def read_labels(path: Path, *, max_voxels: int = MAX_VOXELS) -> Volume:
    """Read a 3-D label map; the array has an integer type and no negative value.

    Raises:
        DataError: as `read_volume`, or a voxel is not a whole number >= 0 (an image given for a mask, for instance).
        ResourceError: the volume does not fit the memory.
    """
    with translated(path):
        raw, header = read_nifti(path, max_voxels)
        with np.errstate(all="ignore"):
            array = apply_read_scaling(raw, *header.get_slope_inter())
            bad = array < 0
            if array.dtype.kind == "f":
                bad |= (array != np.rint(array)) | ~(array < 2**31)
        if bad.any():
            found = ", ".join(f"{float(v):g}" for v in np.unique(array[bad])[:5])
            raise DataError(
                f"{path.name}: expected label ids (whole numbers from 0), found {found} among {int(bad.sum())} "
                "voxels; is this the image, or a resampled mask?"
            )
        return _canonical(array.astype(np.int32) if array.dtype.kind == "f" else array, header, path.name)


def new_volume(array: NDArray[Any], affine: NDArray[np.float64]) -> Volume:
    """Make a volume from memory.

    Args:
        array: (I, J, K), in the axes of `affine`; the result's array is its canonical reorientation.
        affine: (4, 4), index of `array` -> mm in RAS+ world coordinates.

    Raises:
        DataError: `array` is not 3-D or `affine` is not invertible.

    Example:
        >>> volume = new_volume(np.arange(6).reshape(1, 2, 3), np.diag([-1.0, 1.0, 2.0, 1.0]))
        >>> volume.source.orientation, volume.spacing_mm
        ('LAS', (1.0, 1.0, 2.0))
    """
    if array.ndim != 3 or array.size == 0:
        raise DataError(f"expected a 3-D array with voxels, got shape {array.shape}")
    require_affine(affine, "volume")
    header = nib.Nifti1Image(np.empty(array.shape, np.uint8), affine).header
    header.set_xyzt_units("mm")
    return _canonical(array, header, "volume", affine=affine.astype(np.float64))


def require_same_grid(image: Volume, labels: Volume, tolerance_mm: float = 1e-3) -> None:
    """Check that two volumes have the same voxels in space, whatever their orientation in the file.

    Args:
        image: one volume.
        labels: the other.
        tolerance_mm: largest allowed distance between the same corner voxels.

    Raises:
        DataError: the shapes or the affines differ; the message shows both.
    """
    if image.array.shape != labels.array.shape:
        raise DataError(
            f"{labels.name}: {_size(labels)} differs from {image.name}: {_size(image)} (canonical axes); "
            "resample one onto the other"
        )
    last = np.array(image.array.shape) - 1.0
    corners = np.array([[*(last * np.array(np.unravel_index(i, (2, 2, 2)))), 1.0] for i in range(8)])
    shift = np.linalg.norm(corners @ (image.affine - labels.affine)[:3].T, axis=1).max()
    if not shift <= tolerance_mm:
        raise DataError(
            f"{labels.name}: lies {shift:.3g} mm off {image.name}; affines {affine_text(labels.affine)} and "
            f"{affine_text(image.affine)}; resample one onto the other"
        )


def write_volume(
    path: Path, array: NDArray[Any], like: Volume, *, dtype: DTypeLike, description: str = ""
) -> None:
    """Write an array of `like`'s grid in the orientation, affine, codes and units of `like`'s file, atomically.

    No text of the source is copied (description, names, extensions). Equal arrays give equal bytes.

    Args:
        path: ends in `.nii` or `.nii.gz`.
        array: (X, Y, Z) canonical, as `like.array`.
        like: the volume whose grid is used.
        dtype: type in the file; values are rounded for integer types.
        description: the header's own line of text, up to 79 characters of ASCII.

    Raises:
        ConfigError: another suffix.
        DataError: the shape differs from `like`'s, or a value does not fit `dtype`.
        ResourceError: the file cannot be written; an existing one is left as it was.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise ConfigError(f"{path.name}: expected a name ending in .nii or .nii.gz")
    if array.shape != like.array.shape:
        raise DataError(f"{path.name}: array is {array.shape}, the grid of {like.name} is {like.array.shape}")
    stored = in_source_axes(_cast(array, np.dtype(dtype), path.name), like)
    header = like.source.header.copy()
    header["descrip"] = description.encode("ascii", "replace")[:79]
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    # affine None: the geometry fields of the header are written as they are, not derived again
    image = kind(stored, None, header, dtype=np.dtype(dtype))
    with atomic_path(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, temporary)


def in_source_axes(array: NDArray[Any], like: Volume) -> NDArray[Any]:
    """An array of `like`'s canonical grid in the axes of `like`'s file: (X, Y, Z) -> (I, J, K)."""
    back = nib.orientations.ornt_transform([[0, 1], [1, 1], [2, 1]], like.source.axes)
    turned: NDArray[Any] = nib.orientations.apply_orientation(array, back)
    return turned


def _canonical(
    array: NDArray[Any],
    header: nib.Nifti1Header,
    name: str,
    nonfinite_voxels: int = 0,
    affine: NDArray[np.float64] | None = None,  # where the header's single precision would lose digits
) -> Volume:
    affine = header.get_best_affine() if affine is None else affine
    axes = nib.io_orientation(affine)
    canonical_affine = affine @ nib.orientations.inv_ornt_aff(axes, array.shape)
    spacing = voxel_sizes(canonical_affine)
    grid = type(header)()
    for field in _GRID_FIELDS:
        grid[field] = header[field]
    grid["pixdim"][:4] = header["pixdim"][:4]
    source = VolumeGeometry(
        (array.shape[0], array.shape[1], array.shape[2]), affine, "".join(nib.aff2axcodes(affine)), axes, grid
    )
    turned = np.ascontiguousarray(nib.orientations.apply_orientation(array, axes))
    x_mm, y_mm, z_mm = (float(v) for v in spacing)
    return Volume(turned, canonical_affine, (x_mm, y_mm, z_mm), source, name, nonfinite_voxels)


def _cast(array: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    if dtype.kind not in "iu":
        return array.astype(dtype, copy=False)
    limits, low, high = np.iinfo(dtype), array.min(), array.max()
    if not (limits.min <= low and high <= limits.max):  # written so that NaN fails too
        raise DataError(f"{name}: values {low}..{high} do not fit {dtype}; choose a wider type")
    return (np.rint(array) if array.dtype.kind == "f" else array).astype(dtype, copy=False)


def _size(volume: Volume) -> str:
    shape, spacing = volume.array.shape, volume.spacing_mm
    return f"{'x'.join(map(str, shape))} voxels of {'x'.join(f'{s:.4g}' for s in spacing)} mm"
