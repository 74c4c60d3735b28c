"""Appearance flow of one pair, estimated without training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from ..flow import fit_flow
from .baselines import box_map
from .catalogue import registered_warp
from .interface import Conditions, Image


@registered_warp("flow")
def flow(person: Image, garment: Image, conditions: Conditions) -> NDArray[np.float64]:
    """A dense smooth flow under which the garment's silhouette covers the target, beginning with `copy_paste`."""
    start = box_map(conditions)
    try:
        return fit_flow(conditions.garment_mask, conditions.target, start, conditions.front)
    except DataError as err:
        raise DataError(f"{conditions.pair_id}: {err}") from err
