"""Overlap and volume of two binary masks of any dimension.

One representation of "undefined" everywhere in `metrics`: a function returns NaN exactly where its formula divides
zero by zero. The tables of `segmentation` say why (a status per row) and count it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Mask = NDArray[np.bool_]


class Confusion(NamedTuple):
    """Voxel counts: true and false positives, false and true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int


def check_masks(pred: Mask, ref: Mask) -> None:
    """Refuse what is not a pair of boolean masks on one grid.

    Raises:
        DataError: if a mask is not boolean, or the shapes differ.
    """
    for name, mask in (("prediction", pred), ("reference", ref)):
        if mask.dtype != np.bool_:
            raise DataError(
                f"{name} mask: expected dtype bool, got {mask.dtype}; compare labels with `labels == k`"
            )
    if pred.shape != ref.shape:
        raise DataError(
            f"prediction {pred.shape} and reference {ref.shape} differ in shape; resample one to the other's grid"
        )


def confusion(pred: Mask, ref: Mask) -> Confusion:
    """Count agreeing and disagreeing voxels.

    Args:
        pred: predicted mask, bool, any shape.
        ref: reference mask, bool, the same shape.

    Raises:
        DataError: see `check_masks`.

    Example:
        >>> confusion(np.array([True, True, False]), np.array([True, False, False]))
        Confusion(tp=1, fp=1, fn=0, tn=1)
    """
    check_masks(pred, ref)
    tp = int(np.count_nonzero(pred & ref))
    fp = int(np.count_nonzero(pred)) - tp
    fn = int(np.count_nonzero(ref)) - tp
    return Confusion(tp, fp, fn, pred.size - tp - fp - fn)


def dice(pred: Mask, ref: Mask) -> float:
    """Dice coefficient 2 TP / (2 TP + FP + FN), in [0, 1]; NaN if both masks are empty.

    Raises:
        DataError: see `check_masks`.

    Example:
        >>> dice(np.array([True, True, False]), np.array([True, False, False]))
        0.6666666666666666
    """
    tp, fp, fn, _ = confusion(pred, ref)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else math.nan


def iou(pred: Mask, ref: Mask) -> float:
    """Intersection over union TP / (TP + FP + FN), in [0, 1]; NaN if both masks are empty.

    Raises:
        DataError: see `check_masks`.

    Example:
        >>> iou(np.array([True, True, False]), np.array([True, False, False]))
        0.5
    """
    tp, fp, fn, _ = confusion(pred, ref)
    return tp / (tp + fp + fn) if tp + fp + fn else math.nan


def volume_error_ml(pred: Mask, ref: Mask, spacing_mm: Sequence[float]) -> float:
    """Signed volume error V(pred) - V(ref) in millilitres of two 3-D masks: positive is too much.

    Args:
        pred: predicted mask, bool, (X, Y, Z).
        ref: reference mask, bool, the same shape.
        spacing_mm: voxel size along each axis in mm.

    Raises:
        DataError: see `check_masks`; or the masks or the spacing are not three-dimensional.

    Example:
        >>> volume_error_ml(np.ones((10, 10, 10), bool), np.zeros((10, 10, 10), bool), (1.0, 1.0, 2.0))
        2.0
    """
    check_masks(pred, ref)
    if pred.ndim != 3:
        raise DataError(f"a volume needs three dimensions, got masks of shape {pred.shape}")
    voxel_mm3 = math.prod(check_spacing(spacing_mm, 3))
    return (int(np.count_nonzero(pred)) - int(np.count_nonzero(ref))) * voxel_mm3 / 1000


def relative_volume_error(pred: Mask, ref: Mask) -> float:
    """Signed size error (V(pred) - V(ref)) / V(ref), at least -1; NaN if the reference is empty.

    Raises:
        DataError: see `check_masks`.

    Example:
        >>> relative_volume_error(np.array([True, True, False]), np.array([True, False, False]))
        1.0
    """
    tp, fp, fn, _ = confusion(pred, ref)
    return (fp - fn) / (tp + fn) if tp + fn else math.nan


def check_spacing(spacing_mm: Sequence[float], ndim: int) -> tuple[float, ...]:
    """Return the spacing as floats, one positive finite number per axis.

    Raises:
        DataError: if the number of values is not `ndim`, or one is not positive and finite.
    """
    spacing = tuple(float(value) for value in spacing_mm)
    if len(spacing) != ndim or not all(math.isfinite(value) and value > 0 for value in spacing):
        raise DataError(f"spacing: expected {ndim} positive numbers (mm per voxel along each axis), got {spacing}")
    return spacing
