"""Label maps of one parsing scheme in the ids of another."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .labels import NAMES, Scheme

# What VITON-HD's ids call a part that they have no word for. Belts go with what they hold up; bags and "noise" get the
# id of scarfs, which VITON-HD groups as noise with the gloves.
_IN_VITONHD: Mapping[str, str] = MappingProxyType(
    {
        "": "background",
        "jumpsuit": "dress",
        "neck": "torso skin",
        "belt": "pants",
        "bag": "scarf",
        "noise": "scarf",
        "upper torso": "upper clothes",
        "left upper sleeve": "upper clothes",
        "right upper sleeve": "upper clothes",
        "dress torso": "dress",
        "left dress sleeve": "dress",
        "right dress sleeve": "dress",
        "coat torso": "coat",
        "left coat sleeve": "coat",
        "right coat sleeve": "coat",
        "left pants": "pants",
        "right pants": "pants",
    }
)


def in_vitonhd_ids(labels: NDArray[np.uint8], scheme: Scheme) -> NDArray[np.uint8]:
    """A label map in the ids of VITON-HD's `image-parse-v3`.

    Args:
        labels: (H, W) ids of `scheme`.
        scheme: of the map.

    Returns:
        (H, W) uint8.

    Raises:
        DataError: an id that the scheme does not have.

    Example:
        >>> in_vitonhd_ids(np.array([[4, 18, 16]], np.uint8), "atr").tolist()
        [[5, 10, 11]]
    """
    names = NAMES[scheme]
    if labels.max(initial=0) >= len(names):
        raise DataError(
            f"label id {labels.max()}; {scheme} ends at {len(names) - 1}, is this another scheme or a rendering in "
            "colours?"
        )
    known = NAMES["vitonhd"]
    table = [known.index(name if name in known else _IN_VITONHD[name]) for name in names]
    return np.array(table, dtype=np.uint8)[labels]
