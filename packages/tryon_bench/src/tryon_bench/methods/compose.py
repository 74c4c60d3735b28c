"""Putting a picture together: filling the hole, laying a garment over it, putting back what lies in front."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from .._shared.errors import DataError
from .interface import Conditions, Image, Mask


def without_garment(person: Image, conditions: Conditions) -> Image:
    """The person with the hole filled by the nearest background, so that nothing of the old garment is left.

    Raises:
        DataError: there is no background outside of what may be repainted.
    """
    source = ~conditions.repaint & ~conditions.keep  # neither hair nor trousers are spread
    if not source.any():
        raise DataError(f"{conditions.pair_id}: everything may be repainted; is the agnostic mask inverted?")
    rows, columns = distance_transform_edt(~source, return_distances=False, return_indices=True)
    return np.where(conditions.hole[..., None], person[rows, columns], person)


def laid_over(base: Image, garment: Image, cover: Mask, conditions: Conditions) -> Image:
    """A warped garment over a picture, below what is kept.

    Args:
        base: (H, W, 3).
        garment: (H, W, 3), warped.
        cover: (H, W), where the warped garment is.
        conditions: say what may change and what is kept.
    """
    return np.where((cover & conditions.hole)[..., None], garment, base)
