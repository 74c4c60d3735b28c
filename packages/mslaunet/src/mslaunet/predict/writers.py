"""Masks and maps as files on the source's own grid, each read back and compared before it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from .._shared.errors import DataError
from .._shared.io.images import read_image, write_png
from .._shared.io.volumes import Volume, read_labels, read_volume, require_same_grid, write_volume
from ..data.loading import LoadedCase, slices_last


def write_mask(target: Path, labels: np.ndarray, loaded: LoadedCase, mask_values: Mapping[int, int]) -> None:
    """Write label ids (D, H, W) as `.nii.gz` on the volume's grid, or as PNG with the pixel values of training.

    Raises:
        DataError: what was written does not come back on the source's grid with the same labels; the file is gone.
        ResourceError: the file cannot be written.
    """
    if loaded.volume is None:
        write_png(target, to_pixels(labels[0], mask_values))
        _verify(target, lambda: np.array_equal(read_image(target).array, to_pixels(labels[0], mask_values)))
        return
    source, array = loaded.volume, slices_last(labels)
    write_volume(target, array, like=source, dtype=labels.dtype)
    _verify(target, lambda: _comes_back(read_labels(target), source, array))


def write_map(target: Path, values: np.ndarray, loaded: LoadedCase) -> None:
    """Write values (D, H, W) in [0, 1]: float32 `.nii.gz` on the volume's grid, or 16-bit PNG (65535 is 1).

    Raises:
        DataError: what was written does not come back on the source's grid.
        ResourceError: the file cannot be written.
    """
    if loaded.volume is None:
        write_png(target, np.rint(values[0].clip(0, 1) * 65535).astype(np.uint16))
        return
    source, array = loaded.volume, slices_last(values)
    write_volume(target, array, like=source, dtype=np.float32)
    _verify(target, lambda: _comes_back(read_volume(target), source, array))


def to_pixels(labels: np.ndarray, mask_values: Mapping[int, int]) -> np.ndarray:
    """Label ids as the pixel values that the training masks had (0 and 255 for binary ones)."""
    pixel_of = {label: pixel for pixel, label in mask_values.items()}
    top = int(labels.max(initial=0))
    return np.array([pixel_of.get(i, i) for i in range(top + 1)], labels.dtype)[labels]


def _comes_back(again: Volume, source: Volume, array: np.ndarray) -> bool:
    require_same_grid(source, again)
    same_file_grid = np.allclose(again.source.affine, source.source.affine, atol=1e-4)
    return same_file_grid and np.array_equal(again.array, array)


def _verify(target: Path, comes_back: Callable[[], bool]) -> None:
    """The run-time self-test: a file that does not come back as it was meant is removed."""
    try:
        if not comes_back():
            raise DataError(
                f"{target.name}: reads back differently from what was predicted; the disk or the source's geometry is "
                "damaged, nothing was kept"
            )
    except DataError:
        target.unlink(missing_ok=True)
        raise
