"""One shop photo -> its picture and mask."""

from __future__ import annotations

import numpy as np

from .._shared.errors import DataError
from .._shared.io.images import read_mask
from ..data.garments import mask_on_white
from ..engine.images import decode
from .files import OutputFolder
from .letterbox import Letterbox
from .settings import Settings
from .sources import Item


def prepare_garment(item: Item, settings: Settings, out: OutputFolder) -> None:
    """Write picture and mask; a missing mask is what is not white.

    Raises:
        DataError: a damaged file, a mask of another size, or an empty one.
    """
    path, garment = item.files["image"], decode(item.files["image"])
    given = item.files.get("garment_mask")
    mask = mask_on_white(garment) if given is None else read_mask(given, binary=True).array.astype(bool)
    if mask.shape != garment.shape[:2]:
        raise DataError(
            f"{given.name if given else path.name}: {mask.shape}, the garment has {garment.shape[:2]} (H, W)"
        )
    if not np.any(mask):
        where = "no garment found on white; give a mask in cloth-mask/"
        raise DataError(
            f"{path.name}: {where if given is None else f'its mask {given.name} is empty; draw it anew'}"
        )
    box = Letterbox((garment.shape[0], garment.shape[1]), settings.size)
    out.jpeg("cloth", f"{item.stem}.jpg", box.photo(garment, "white"))
    out.mask("cloth-mask", f"{item.stem}.jpg", box.mask(mask))
