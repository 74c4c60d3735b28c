"""The warp that dressed a synthetic person, as a method: it isolates what composition alone costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from ..tps import ThinPlateSpline, dense_map
from .catalogue import registered_warp
from .interface import Conditions, Image


@registered_warp("oracle_warp", note="bends the garment by the true warp, which no method knows")
def oracle_warp(person: Image, garment: Image, conditions: Conditions) -> NDArray[np.float64]:
    """The true backward map of a synthetic data set, which fits every garment of its category.

    Raises:
        DataError: the data set has no `warp_gt/`, which only `tryon-bench synth` writes.
    """
    if conditions.known_warp is None:
        raise DataError(
            f"{conditions.pair_id}: oracle_warp needs the known warp in warp_gt/, which only data of "
            "`tryon-bench synth` have"
        )
    return dense_map(read_known_warp(conditions.known_warp), (person.shape[0], person.shape[1]))


def read_known_warp(path: Path) -> ThinPlateSpline:
    """The spline of a file that `tryon-bench synth` wrote.

    Raises:
        DataError: damaged or another file.
    """
    try:
        with np.load(path, allow_pickle=False) as known:
            arrays = [np.asarray(known[name], np.float64) for name in ("targets", "weights", "affine")]
    except Exception as err:  # numpy's reader raises whatever the damaged archive leads to
        raise DataError(
            f"{path.name}: no warp of `tryon-bench synth` ({type(err).__name__}); make it anew"
        ) from err
    n = len(arrays[0]) if arrays[0].ndim else 0
    if [a.shape for a in arrays] != [(n, 2), (n, 2), (3, 2)] or not all(np.isfinite(a).all() for a in arrays):
        raise DataError(
            f"{path.name}: no warp of `tryon-bench synth`; expected finite arrays (n, 2), (n, 2) and (3, 2), got "
            f"{', '.join(str(a.shape) for a in arrays)}"
        )
    return ThinPlateSpline(*arrays)
