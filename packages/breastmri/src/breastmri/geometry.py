"""From a map of cells to millimetres: where cells lie, the centre of a map, its peaks.

Nothing here interpolates with corner alignment: a hot cell up-sampled that way (or by SciPy's default `zoom`) lands up
to 11 voxels off at stride 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ._shared.errors import DataError

Floats = NDArray[np.floating]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class CellGrid:
    """Where the cells of a map lie among the voxels of the input.

    Attributes:
        stride: voxels between cells along (d, h, w).
        offset: voxel index, fractional, of the centre of cell (0, 0, 0).
    """

    stride: Triple
    offset: Triple

    @classmethod
    def centred(cls, stride: Triple, voxels: tuple[int, ...], cells: tuple[int, ...]) -> CellGrid:
        """The grid of a map that was averaged over flips of the input: the middles of both coincide.

        Cell i lies at offset + stride i, and in the flipped input at n - 1 - offset - stride (m - 1 - i); their mean
        does not depend on the offset.

        Example:
            >>> CellGrid.centred((4.0, 4.0, 4.0), (32, 32, 32), (8, 8, 8)).offset
            (1.5, 1.5, 1.5)
        """
        a, b, c = ((n - 1 - s * (m - 1)) / 2 for s, n, m in zip(stride, voxels, cells, strict=True))
        return cls(stride, (a, b, c))

    def affine(self) -> NDArray[np.float64]:
        """(4, 4): cell index -> voxel index."""
        matrix = np.diag([*self.stride, 1.0])
        matrix[:3, 3] = self.offset
        return matrix


VOXELS = CellGrid((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


class Peak(NamedTuple):
    """A candidate: centre in RAS+ mm and the map's value there."""

    center_mm: Triple
    score: float


def to_mm(affine: NDArray[np.float64], index: Floats) -> Triple:
    """World coordinates of a (fractional) index."""
    x, y, z = affine[:3, :3] @ np.asarray(index, np.float64) + affine[:3, 3]
    return float(x), float(y), float(z)


def distance_mm(a: Triple, b: Triple) -> float:
    """Euclidean distance of two points."""
    return float(np.linalg.norm(np.subtract(a, b)))


def half_max_centroid(cells: Floats, fraction: float = 0.5) -> NDArray[np.float64]:
    """Centre of the hottest region, as a fractional cell index: our choice, the paper's rule is unknown.

    The minimum is subtracted, cells of at least `fraction` of the maximum are kept, of these the 26-connected component
    that holds the maximum; the centroid is weighted by intensity.

    Args:
        cells: (D, H, W) finite map; larger is hotter.
        fraction: of the maximum.

    Raises:
        DataError: a map that is not finite or has another number of axes.

    Example:
        >>> half_max_centroid(np.eye(3)[None] * [[[0], [1], [0]]]).tolist()
        [0.0, 1.0, 1.0]
    """
    heat = _heat(cells)
    if heat.max() == 0:  # flat: nothing is hotter than anything else
        return (np.array(heat.shape) - 1) / 2
    labelled, _ = ndimage.label(heat >= fraction * heat.max(), np.ones((3, 3, 3)))
    hottest = np.unravel_index(int(heat.argmax()), heat.shape)
    region = labelled == labelled[hottest]
    return np.array(ndimage.center_of_mass(heat, region, 1), np.float64)


def find_peaks(
    cells: Floats, affine: NDArray[np.float64], *, radius_mm: float = 10.0, max_count: int = 5
) -> list[Peak]:
    """Local maxima with greedy 3-D non-maximum suppression, hottest first.

    Args:
        cells: (D, H, W) finite map.
        affine: (4, 4) cell index -> mm.
        radius_mm: smallest distance between two peaks.
        max_count: most peaks returned.

    Raises:
        DataError: see `half_max_centroid`.
    """
    _heat(cells)
    top = (cells == ndimage.maximum_filter(cells, size=3, mode="nearest")) & (cells > cells.min())
    index = np.argwhere(top)
    scores = cells[top]
    points = index @ affine[:3, :3].T + affine[:3, 3]
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if len(kept) == max_count:
            break
        if all(np.linalg.norm(points[i] - points[j]) >= radius_mm for j in kept):
            kept.append(int(i))
    return [Peak(to_mm(affine, index[i]), float(scores[i])) for i in kept]


def to_voxels(cells: Floats, grid: CellGrid, shape: tuple[int, int, int]) -> Floats:
    """A map (D', H', W') on the voxels (D, H, W) of the input: linear between cells, constant beyond the outer ones."""
    stride, offset = np.array(grid.stride), np.array(grid.offset)
    return ndimage.affine_transform(
        np.asarray(cells, np.float32), 1 / stride, -offset / stride, output_shape=shape, order=1, mode="nearest"
    )


def _heat(cells: Floats) -> NDArray[np.float64]:
    if cells.ndim != 3 or not cells.size or not np.isfinite(cells).all():
        raise DataError(f"expected a finite map (D, H, W), got {cells.shape}")
    heat = np.asarray(cells, np.float64)
    return heat - heat.min()
