"""What a caller gives, in the types that the recipes count with: another type would change masks without a word."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .canvas import Mask


def require_photo(person: NDArray[Any]) -> None:
    """Refuse all but 8-bit RGB.

    Raises:
        DataError: another shape or type.
    """
    if person.ndim != 3 or person.shape[2] != 3 or person.dtype != np.uint8:
        raise DataError(f"person: {person.dtype} of shape {person.shape}; expected a photo, uint8 (H, W, 3)")


def as_labels(name: str, labels: NDArray[Any] | None, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Ids as uint8, whichever integers they come in.

    Args:
        name: what messages call it.
        labels: (H, W) ids 0..255.
        size: (H, W) of the photo.

    Raises:
        DataError: no integers, ids outside of 0..255, or another size.

    Example:
        >>> as_labels("parse", np.array([[0, 5]]), (1, 2)).dtype.name
        'uint8'
    """
    if labels is None:
        return None
    _require_size(name, labels, size)
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{name}: {labels.dtype}; expected label ids as integers")
    if labels.dtype != np.uint8 and labels.size and not 0 <= labels.min() <= labels.max() <= 255:
        raise DataError(f"{name}: ids {labels.min()} to {labels.max()}; expected 0 to 255")
    return labels.astype(np.uint8, copy=False)


def require_mask(name: str, mask: NDArray[Any] | None, size: tuple[int, int]) -> Mask | None:
    """Refuse all but a boolean mask of the photo's size.

    Raises:
        DataError: another type or size.
    """
    if mask is None:
        return None
    _require_size(name, mask, size)
    if mask.dtype != np.bool_:
        raise DataError(f"{name}: {mask.dtype}; expected bool, such as `mask >= 128` for a gray picture")
    return mask


def _require_size(name: str, array: NDArray[Any], size: tuple[int, int]) -> None:
    if array.shape != size:
        raise DataError(f"{name}: {array.shape}, the photo has {size} (H, W); they must be equal")
