"""What one case looks like, measured once; every check reads these facts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..data.dataset import Case, Dataset
from ..data.loading import LoadedCase, load_case_of


@dataclass(frozen=True)
class CaseFacts:
    """What one case looks like."""

    case_id: str
    part: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: str
    low: float
    high: float
    mean: float
    pixels_sha256: str
    label_voxels: Mapping[int, int] = field(default_factory=dict)
    centroids_mm: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    ambiguous_pixels: int = 0


def measure(case: Case, part: str, dataset: Dataset) -> CaseFacts:
    """Read a case and measure it.

    Raises:
        DataError: a file is missing or damaged, or the files do not fit each other.
    """
    loaded = load_case_of(dataset, case)
    counts = np.bincount(loaded.mask.ravel()) if loaded.mask is not None else np.zeros(0, np.int64)
    # Files made of arrays have a grid that says nothing: neither voxel size nor which side is left.
    has_grid = loaded.volume is not None and case.storage not in ("slices", "array") and dataset.spacing_known
    depth, height, width = loaded.image.shape[1:]
    return CaseFacts(
        case.case_id,
        part,
        (depth, height, width),
        loaded.spacing_mm,
        loaded.volume.source.orientation if loaded.volume is not None and has_grid else "",
        float(loaded.image.min()),
        float(loaded.image.max()),
        float(loaded.image.mean()),
        hashlib.sha256(repr(loaded.image.shape).encode() + loaded.image.tobytes()).hexdigest(),
        {label: int(count) for label, count in enumerate(counts) if count},
        _centroids(loaded) if has_grid else {},
        loaded.ambiguous_pixels,
    )


def _centroids(loaded: LoadedCase) -> dict[int, tuple[float, ...]]:
    """World position (RAS+, mm) of the centre of every label."""
    if loaded.mask is None or loaded.volume is None:
        return {}
    found = {}
    for label in (int(v) for v in np.unique(loaded.mask) if v):
        z, y, x = (float(axis.mean()) for axis in np.nonzero(loaded.mask == label))
        found[label] = tuple(float(v) for v in (loaded.volume.affine @ [x, y, z, 1.0])[:3])
    return found
