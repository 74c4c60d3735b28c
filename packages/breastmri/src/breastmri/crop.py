"""The breasts in a study: drawn by the user, or found without a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._shared.errors import DataError
from .data.study import Side, Study


@dataclass(frozen=True, eq=False)
class BreastRegion:
    """One breast in a study's voxels.

    Attributes:
        mask: (X, Y, Z) bool.
        source: "drawn" (the user's mask), "found" (chest wall and skin) or "whole" (nothing was found: the half
            volume of that side).
        problems: why the region should be looked at; empty where it is plausible.
    """

    mask: np.ndarray
    source: str
    problems: tuple[str, ...] = ()

    def box(self) -> np.ndarray:
        """(3, 2) first and last voxel along x, y, z."""
        axes = [np.flatnonzero(self.mask.any(tuple(a for a in range(3) if a != axis))) for axis in range(3)]
        return np.array([(a[0], a[-1]) for a in axes])


def find_breast(study: Study, side: Side) -> BreastRegion:
    """The region of one breast.

    Raises:
        DataError: the study's breast mask has no voxel of that side.
    """
    if study.breast_mask is not None:
        mask = study.breast_mask == (1 if side == "left" else 2)
        if not mask.any():
            raise DataError(f"breast mask: no voxel of the {side} breast (1 is left, 2 is right)")
        return BreastRegion(mask, "drawn")
    return whole_half(study, side)


def whole_half(study: Study, side: Side, *problems: str) -> BreastRegion:
    """Everything on that side of the middle; the whole volume where the study shows one breast only."""
    mask = np.ones(study.shape, bool)
    if len(study.sides) == 2:
        half = study.shape[0] // 2
        mask[half:] = False
        if side == "right":
            mask = mask[::-1].copy()
    return BreastRegion(mask, "whole", problems)
