"""Files of one case -> arrays: channels first, axial slices second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._shared.errors import DataError
from .._shared.io.dicom import read_series
from .._shared.io.images import MaskData, read_image, read_mask
from .._shared.io.volumes import Volume, new_volume, read_labels, read_volume, require_same_grid
from .arrays import read_array_pair
from .dataset import Case, Dataset
from .labels import apply_map


@dataclass(frozen=True)
class LoadedCase:
    """One case in memory.

    Attributes:
        image: (C, D, H, W) float32; raw intensities of a volume, [0, 1] for 2-D images (D = 1).
        mask: (D, H, W) label ids, or None.
        spacing_mm: (D, H, W) spacing; (1, 1, 1) for 2-D images and arrays, whose unit is the pixel.
        volume: the source volume (grid and affine for writing back), None for 2-D images.
        ambiguous_pixels: pixels of a binary mask with soft edges that were assigned to the nearer class.
    """

    image: np.ndarray
    mask: np.ndarray | None
    spacing_mm: tuple[float, float, float]
    volume: Volume | None
    ambiguous_pixels: int = 0


def load_case(
    case: Case, *, num_channels: int, num_classes: int, mask_values: Mapping[int, int] | None = None
) -> LoadedCase:
    """Read a case of any layout and check that its files fit each other; what training and prediction call.

    Args:
        case: a case of an open data set.
        num_channels: channels expected.
        num_classes: classes, background included.
        mask_values: see `Dataset.mask_values`.

    Raises:
        DataError: a file is damaged, channels or mask lie on different grids, or a label id is out of range.
    """
    match case.storage:
        case "slices" | "array":
            loaded = _load_arrays(case)
        case "dicom":
            loaded = _load_volumes(case, [read_series(case.images)])
        case _ if case.is_volume:
            loaded = _load_volumes(case, [read_volume(path) for path in case.images])
        case _:
            loaded = _load_image(case, mask_values)
    if loaded.image.shape[0] != num_channels:
        raise DataError(
            f"{case.images[0].name}: {loaded.image.shape[0]} channels, expected {num_channels} as in the first case"
        )
    if loaded.mask is not None and loaded.mask.max(initial=0) >= num_classes:
        found = sorted(int(v) for v in np.unique(loaded.mask) if v >= num_classes)[:5]
        name = (case.mask or case.images[0]).name
        raise DataError(
            f"{name}: label ids {found} are outside 0..{num_classes - 1}; check the classes of the data set"
        )
    return loaded


def load_case_of(dataset: Dataset, case: Case) -> LoadedCase:
    """Read a case with the channels, classes and mask values of its own data set.

    Raises:
        DataError: as `load_case`.
    """
    return load_case(
        case,
        num_channels=len(dataset.channels),
        num_classes=len(dataset.classes),
        mask_values=dataset.mask_values,
    )


def slices_first(array: np.ndarray) -> np.ndarray:
    """(X, Y, Z) in canonical orientation -> (Z, Y, X): axial slices in the first axis."""
    return np.ascontiguousarray(array.transpose(2, 1, 0))


def slices_last(array: np.ndarray) -> np.ndarray:
    """Inverse of `slices_first`."""
    return np.ascontiguousarray(array.transpose(2, 1, 0))


def _load_volumes(case: Case, volumes: list[Volume]) -> LoadedCase:
    for other in volumes[1:]:
        require_same_grid(volumes[0], other)
    mask = None
    if case.mask is not None:
        labels = read_labels(case.mask)
        require_same_grid(volumes[0], labels)
        mask = _mapped(slices_first(labels.array), case)
    x_mm, y_mm, z_mm = (float(v) for v in volumes[0].spacing_mm)
    image = np.stack([slices_first(v.array) for v in volumes]).astype(np.float32)
    return LoadedCase(image, mask, (z_mm, y_mm, x_mm), volumes[0])


def _load_arrays(case: Case) -> LoadedCase:
    """Slices (H, W) of several files, or one volume (D, H, W): axes x, y, z, of which the files tell no more."""
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for path in case.images:
        image, label = read_array_pair(path)
        if image is None or label is None:
            raise DataError(f"{path.name}: no label in it; expected image and label in one file")
        if case.storage == "slices" and (image.ndim != 2 or image.shape != (images or [image])[0].shape):
            raise DataError(f"{path.name}: a slice of shape {image.shape}; expected that of the first of its case")
        images.append(image)
        labels.append(label)
    stacked = np.stack(images) if images[0].ndim == 2 else images[0]
    mask = np.stack(labels) if labels[0].ndim == 2 else labels[0]
    if case.restore_hu:
        if not -0.01 <= float(stacked.min()) <= float(stacked.max()) <= 1.01:
            raise DataError(
                f"{case.images[0].name}: intensities from {stacked.min():.4g} to {stacked.max():.4g}; expected CT that "
                "was clipped to [-125, 275] HU and scaled to [0, 1]"
            )
        stacked = stacked * np.float32(400) - np.float32(125)
    volume = new_volume(slices_last(stacked), np.eye(4))
    return LoadedCase(stacked[None], _mapped(mask, case), (1.0, 1.0, 1.0), volume)


def _mapped(labels: np.ndarray, case: Case) -> np.ndarray:
    if case.label_map is None:
        return labels
    if case.label_map == "instances":
        return (labels > 0).astype(np.uint8)
    if (top := int(labels.max(initial=0))) > max(case.label_map):
        name = (case.mask or case.images[0]).name
        raise DataError(
            f"{name}: label id {top}, the label map knows 0..{max(case.label_map)}; choose another map"
        )
    return apply_map(labels, case.label_map)


def _load_image(case: Case, mask_values: Mapping[int, int] | None) -> LoadedCase:
    planes = [_channels_first(path) for path in case.images]
    for path, plane in zip(case.images[1:], planes[1:], strict=True):
        if plane.shape[1:] != planes[0].shape[1:]:
            raise DataError(
                f"{path.name}: {plane.shape[2]}x{plane.shape[1]} pixels, {case.images[0].name} has "
                f"{planes[0].shape[2]}x{planes[0].shape[1]}; export the channels of a case at one size"
            )
    image, mask, ambiguous = np.concatenate(planes)[:, None], None, 0
    if case.mask is not None:
        data = _read_mask(case, mask_values)
        mask, ambiguous = _mapped(data.array[None], case), data.ambiguous_pixels
        if mask.shape[1:] != image.shape[2:]:
            raise DataError(
                f"{case.mask.name}: mask is {mask.shape[1]}x{mask.shape[2]}, image is "
                f"{image.shape[2]}x{image.shape[3]}; they must have the same size"
            )
    if case.box is not None:
        top, left, height, width = case.box
        part = (..., slice(top, top + height), slice(left, left + width))
        image, mask = image[part], None if mask is None else mask[part]
    return LoadedCase(image, mask, (1.0, 1.0, 1.0), None, ambiguous)


def _channels_first(path: Path) -> np.ndarray:
    data = read_image(path, alpha="drop")
    array = data.array.astype(np.float32) / data.max_value
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def read_label_image(path: Path) -> np.ndarray:
    """Label ids (H, W) of a 2-D mask file of unknown convention: binary if its brightest value is 255."""
    return read_mask(path).array


def _read_mask(case: Case, mask_values: Mapping[int, int] | None) -> MaskData:
    """A mask with `mask_values` is binary and thresholded at half range; otherwise pixel values are label ids."""
    if case.mask is None:
        raise DataError(f"{case.images[0].name}: has no mask")
    return read_mask(case.mask, binary=mask_values is not None and case.label_map is None)
