"""Distances between the boundaries of two masks, in millimetres.

The boundary is the mask minus its erosion with face connectivity; voxels on the image border count as boundary
(what MONAI and medpy do). Distances run between voxel centres and are exact. `surface_distances` does the work
once; the scores are cheap functions of what it returns:

    distances = surface_distances(pred, ref, spacing_mm)
    hd95(distances), assd(distances), nsd(distances, tolerance_mm=2.0)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import DataError
from .overlap import Mask, check_masks, check_spacing

HD95Definition = Literal["max_directed", "pooled"]


class SurfaceDistances(NamedTuple):
    """Distance of every boundary voxel to the other boundary, in mm; infinite where the other mask is empty."""

    pred_to_ref: NDArray[np.float64]
    ref_to_pred: NDArray[np.float64]

    @property
    def defined(self) -> bool:
        """Whether both masks have a boundary, so that a distance between them exists."""
        return self.pred_to_ref.size > 0 and self.ref_to_pred.size > 0


def surface_distances(pred: Mask, ref: Mask, spacing_mm: Sequence[float]) -> SurfaceDistances:
    """Measure the distance from each boundary voxel of one mask to the nearest boundary voxel of the other.

    The feature transform of scipy runs on the joint bounding box, which loses nothing because both boundaries lie
    in it. A k-d tree over boundary voxels needs less memory, but had not finished after minutes where this takes
    10 s: on the millions of boundary voxels of a noisy prediction.

    Args:
        pred: predicted mask, bool, any number of dimensions.
        ref: reference mask, bool, the same shape.
        spacing_mm: voxel size along each axis in mm.

    Returns:
        Two arrays of float64, one value per boundary voxel of `pred` and of `ref`, in raster order.

    Raises:
        DataError: if the masks are not boolean, differ in shape, or the spacing does not fit.

    Example:
        >>> surface_distances(np.array([True, False, False]), np.array([False, False, True]), [0.5])
        SurfaceDistances(pred_to_ref=array([1.]), ref_to_pred=array([1.]))
    """
    check_masks(pred, ref)
    spacing = check_spacing(spacing_mm, pred.ndim)
    (box,) = ndimage.find_objects((pred | ref).view(np.uint8), max_label=1)
    if box is None:
        return SurfaceDistances(np.empty(0), np.empty(0))
    pred_boundary, ref_boundary = _boundary(pred[box]), _boundary(ref[box])
    return SurfaceDistances(
        _distances(pred_boundary, ref_boundary, spacing), _distances(ref_boundary, pred_boundary, spacing)
    )


def hausdorff(distances: SurfaceDistances) -> float:
    """Hausdorff distance in mm: the largest boundary distance in either direction; NaN if a mask is empty.

    Example:
        >>> hausdorff(SurfaceDistances(np.array([0.0, 1.0]), np.array([4.0])))
        4.0
    """
    return float(np.concatenate(distances).max()) if distances.defined else math.nan


def hd95(distances: SurfaceDistances, *, definition: HD95Definition = "max_directed") -> float:
    """95th percentile (linear interpolation) of the boundary distances in mm; NaN if a mask is empty.

    Args:
        distances: from `surface_distances`.
        definition: "max_directed" takes the larger of the two directed percentiles (MONAI); "pooled" takes one
            percentile over both directions together (medpy, hence the TransUNet tables). They differ in general.

    Example:
        >>> far = SurfaceDistances(np.zeros(99), np.array([10.0]))
        >>> hd95(far), hd95(far, definition="pooled")
        (10.0, 0.0)
    """
    if not distances.defined:
        return math.nan
    if definition == "pooled":
        return float(np.percentile(np.concatenate(distances), 95))
    return float(max(np.percentile(directed, 95) for directed in distances))


def assd(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance in mm: the mean over both boundaries' voxels; NaN if a mask is empty.

    This is MONAI's; medpy's `assd` averages the two directed means instead.

    Example:
        >>> assd(SurfaceDistances(np.array([0.0, 1.0]), np.array([5.0])))
        2.0
    """
    return float(np.concatenate(distances).mean()) if distances.defined else math.nan


def nsd(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Normalised surface Dice: the share of both boundaries' voxels within the tolerance of the other boundary.

    Boundary voxels are counted, as MONAI does by default; DeepMind's `surface-distance` weighs surface elements by
    their area, so its numbers differ a little.

    Args:
        distances: from `surface_distances`.
        tolerance_mm: largest accepted distance in mm, inclusive, not negative.

    Returns:
        A number in [0, 1]: 0 if exactly one mask is empty, NaN if both are.

    Raises:
        DataError: if the tolerance is negative or not finite.

    Example:
        >>> nsd(SurfaceDistances(np.array([0.0, 1.0]), np.array([5.0, 0.5])), tolerance_mm=1.0)
        0.75
    """
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise DataError(f"surface tolerance: expected a finite number of mm, not negative, got {tolerance_mm}")
    both = np.concatenate(distances)
    # Three voxels of 0.1 mm are 0.30000000000000004 mm: rounding must not push them out of a tolerance of 0.3 mm.
    return float(np.mean(both <= tolerance_mm * (1 + 1e-9))) if both.size else math.nan


def _boundary(mask: Mask) -> Mask:
    boundary: Mask = mask & ~ndimage.binary_erosion(mask)
    return boundary


def _distances(start: Mask, goal: Mask, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    here = np.nonzero(start)
    if not goal.any():  # the distance to nothing: the infimum over the empty set
        return np.full(here[0].size, np.inf)
    nearest = ndimage.distance_transform_edt(~goal, sampling=spacing, return_distances=False, return_indices=True)
    squared = np.zeros(here[0].size)
    for axis, size in enumerate(spacing):
        squared += ((nearest[axis][here] - here[axis]) * size) ** 2
    return np.sqrt(squared)
