"""One shop photo -> its picture and mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .._shared.io.images import read_mask
from ..data.garments import mask_on_white
from ..engine.images import decode
from .files import OutputFolder
from .letterbox import Letterbox
from .settings import Settings
from .sources import Item

_LEAST = 0.02  # of the photo: shop photos show garments large
_MOST_OF_BORDER = 0.5  # garments may touch it


def prepare_garment(item: Item, settings: Settings, out: OutputFolder) -> None:
    """Write picture and mask; a missing mask is what is not white.

    Raises:
        DataError: a damaged file, a mask of another size, an empty one, or a missing one where the photo shows no
            garment on white.
    """
    path, garment = item.files["image"], decode(item.files["image"])
    given = item.files.get("garment_mask")
    mask = _found(path, garment) if given is None else _read(given, garment)
    box = Letterbox((garment.shape[0], garment.shape[1]), settings.size)
    out.jpeg("cloth", f"{item.stem}.jpg", box.photo(garment, "white"))
    out.mask("cloth-mask", f"{item.stem}.jpg", box.mask(mask))


def _read(path: Path, garment: NDArray[np.uint8]) -> NDArray[np.bool_]:
    mask = read_mask(path, binary=True).array.astype(bool)
    if mask.shape != garment.shape[:2]:
        raise DataError(
            f"{path.name}: {mask.shape}, the garment has {garment.shape[:2]} (H, W); they must be equal"
        )
    if not mask.any():
        raise DataError(f"{path.name}: the mask is empty; draw it anew")
    return mask


def _found(path: Path, garment: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """What is not white; refused where that is a label on a white garment, or the background."""
    mask = mask_on_white(garment)
    if mask.mean() < _LEAST:
        raise DataError(
            f"{path.name}: no garment found on white ({mask.mean():.1%} of the photo is darker); give a mask in "
            "cloth-mask/"
        )
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if border.mean() > _MOST_OF_BORDER:
        raise DataError(f"{path.name}: the background is not white; give a mask in cloth-mask/")
    return mask
