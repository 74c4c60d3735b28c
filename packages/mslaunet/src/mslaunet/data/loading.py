"""Files of one case -> arrays: channels first, axial slices second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._shared.errors import DataError
from .._shared.io.images import read_image, read_mask
from .._shared.io.volumes import Volume, read_labels, read_volume, require_same_grid
from .dataset import Case


@dataclass(frozen=True)
class LoadedCase:
    """One case in memory.

    Attributes:
        image: (C, D, H, W) float32; raw intensities of a volume, [0, 1] for 2-D images (D = 1).
        mask: (D, H, W) label ids, or None.
        spacing_mm: (D, H, W) spacing; (1, 1, 1) for 2-D images, whose unit is the pixel.
        volume: the source volume (grid and affine for writing back), None for 2-D images.
    """

    image: np.ndarray
    mask: np.ndarray | None
    spacing_mm: tuple[float, float, float]
    volume: Volume | None


def load_case(
    case: Case, *, num_channels: int, num_classes: int, mask_values: Mapping[int, int] | None = None
) -> LoadedCase:
    """Read the files of a case and check that they fit each other.

    Raises:
        DataError: a file is damaged, channels or mask lie on different grids, or a label id is out of range.
    """
    loaded = _load_volumes(case) if case.is_volume else _load_image(case, mask_values)
    if loaded.image.shape[0] != num_channels:
        raise DataError(
            f"{case.images[0].name}: {loaded.image.shape[0]} channels, expected {num_channels} as in the first case"
        )
    if loaded.mask is not None and loaded.mask.max(initial=0) >= num_classes:
        found = sorted(int(v) for v in np.unique(loaded.mask) if v >= num_classes)[:5]
        name = case.mask.name if case.mask else ""
        raise DataError(
            f"{name}: label ids {found} are outside 0..{num_classes - 1}; check the classes of the data set"
        )
    return loaded


def slices_first(array: np.ndarray) -> np.ndarray:
    """(X, Y, Z) in canonical orientation -> (Z, Y, X): axial slices in the first axis."""
    return np.ascontiguousarray(array.transpose(2, 1, 0))


def slices_last(array: np.ndarray) -> np.ndarray:
    """Inverse of `slices_first`."""
    return np.ascontiguousarray(array.transpose(2, 1, 0))


def _load_volumes(case: Case) -> LoadedCase:
    volumes = [read_volume(path) for path in case.images]
    for other in volumes[1:]:
        require_same_grid(volumes[0], other)
    mask = None
    if case.mask is not None:
        labels = read_labels(case.mask)
        require_same_grid(volumes[0], labels)
        mask = slices_first(labels.array)
    x_mm, y_mm, z_mm = (float(v) for v in volumes[0].spacing_mm)
    image = np.stack([slices_first(v.array) for v in volumes]).astype(np.float32)
    return LoadedCase(image, mask, (z_mm, y_mm, x_mm), volumes[0])


def _load_image(case: Case, mask_values: Mapping[int, int] | None) -> LoadedCase:
    planes = [_channels_first(path) for path in case.images]
    for path, plane in zip(case.images[1:], planes[1:], strict=True):
        if plane.shape[1:] != planes[0].shape[1:]:
            raise DataError(
                f"{path.name}: {plane.shape[2]}x{plane.shape[1]} pixels, {case.images[0].name} has "
                f"{planes[0].shape[2]}x{planes[0].shape[1]}; export the channels of a case at one size"
            )
    image = np.concatenate(planes)[:, None]
    mask = None
    if case.mask is not None:
        mask = _read_mask(case.mask, mask_values)[None]
        if mask.shape[1:] != image.shape[2:]:
            raise DataError(
                f"{case.mask.name}: mask is {mask.shape[1]}x{mask.shape[2]}, image is "
                f"{image.shape[2]}x{image.shape[3]}; they must have the same size"
            )
    return LoadedCase(image, mask, (1.0, 1.0, 1.0), None)


def _channels_first(path: Path) -> np.ndarray:
    data = read_image(path, alpha="drop")
    array = data.array.astype(np.float32) / data.max_value
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def read_label_image(path: Path) -> np.ndarray:
    """Label ids (H, W) of a 2-D mask file of unknown convention: binary if its brightest value is 255."""
    return read_mask(path).array


def _read_mask(path: Path, mask_values: Mapping[int, int] | None) -> np.ndarray:
    """A mask with `mask_values` is binary and thresholded at half range; otherwise pixel values are label ids."""
    return read_mask(path, binary=mask_values is not None).array
