"""Baselines without any learning: floors and controls of every table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from ..engine.images import decode
from ..poisson import harmonic_fill
from .catalogue import registered, registered_warp
from .interface import Conditions, Image, Mask


@registered("identity", note="the photo as it is, which in the paired setting is the answer")
def identity(person: Image, garment: Image, conditions: Conditions) -> Image:
    """The photo as it is: the upper bound of person metrics, and in the unpaired setting of ignoring the garment."""
    return person.copy()


@registered("oracle", note="the answer itself, no method")
def oracle(person: Image, garment: Image, conditions: Conditions) -> Image:
    """The answer itself, to check an evaluation: SSIM 1, LPIPS 0, FID 0.

    Raises:
        DataError: the unpaired setting, where nobody knows the answer.
    """
    if conditions.reference is None:
        raise DataError(f"{conditions.pair_id}: oracle needs the answer, which exists in the paired setting only")
    return decode(conditions.reference)


@registered("mean_fill")
def mean_fill(person: Image, garment: Image, conditions: Conditions) -> Image:
    """The hole in the garment's mean colour."""
    if not conditions.garment_mask.any():
        raise DataError(f"{conditions.pair_id}: the garment's mask is empty")
    colour = garment[conditions.garment_mask].mean(axis=0).round().astype(np.uint8)
    return np.where(conditions.hole[..., None], colour, person)


@registered("diffuse_inpaint")
def diffuse_inpaint(person: Image, garment: Image, conditions: Conditions) -> Image:
    """The hole filled by harmonic interpolation: the control that ignores the garment.

    Raises:
        DataError: the hole is the whole photo.
    """
    if conditions.hole.all():
        raise DataError(f"{conditions.pair_id}: everything may be repainted; is the agnostic mask inverted?")
    return harmonic_fill(person, conditions.hole)


@registered_warp("copy_paste", version="2")
def copy_paste(person: Image, garment: Image, conditions: Conditions) -> NDArray[np.float64]:
    """The garment scaled to the box of the area where it goes, without any warp."""
    return box_map(conditions)


def box_map(conditions: Conditions) -> NDArray[np.float64]:
    """Where each pixel lies in the garment if the box of the target is scaled to the box of the garment.

    Returns:
        (H, W, 2): x and y in 0..1 of the garment's photo.
    """
    top, left, bottom, right = box(conditions.target, conditions.pair_id)
    g_top, g_left, g_bottom, g_right = box(conditions.garment_mask, conditions.pair_id)
    (height, width), (h, w) = conditions.target.shape, conditions.garment_mask.shape
    rows = (np.arange(height) + 0.5 - top) / (bottom - top) * (g_bottom - g_top) + g_top
    columns = (np.arange(width) + 0.5 - left) / (right - left) * (g_right - g_left) + g_left
    return np.stack(np.meshgrid(columns / w, rows / h), axis=2)


def box(mask: Mask, pair_id: str) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of a mask, the last two exclusive.

    Raises:
        DataError: an empty mask.
    """
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not rows.size:
        raise DataError(f"{pair_id}: an empty mask; the garment has no place to go, or no shape")
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
