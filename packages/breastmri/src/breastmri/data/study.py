"""One DCE-MRI examination in memory: what every loader gives and every later step takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from .._shared.errors import DataError

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")
OTHER: Mapping[Side, Side] = {"left": "right", "right": "left"}


@dataclass(frozen=True, eq=False)
class Study:
    """A dynamic series of one patient, with what is known about it.

    Attributes:
        study_id: unique in a manifest.
        patient_id: the group key of every split.
        phases: (P, X, Y, Z) float32, the pre-contrast phase first; x grows to the patient's right (so the left breast
            has the low x), y to anterior, z to superior.
        affine: (4, 4) float64, index (x, y, z) -> mm in RAS+ world coordinates.
        times_s: acquisition time of each phase in seconds after the first, or None where unknown.
        labels: malignant (1) or not (0) per breast that the images show; None where unknown.
        labels3: 0 no lesion, 1 benign, 2 malignant, per breast; None where unknown.
        lesion_mask: (X, Y, Z) bool, or None.
        center_mm: centre of the (largest) annotated lesion in RAS+ mm, or None.
        lesion_side: the breast of that lesion, or None.
        breast_mask: (X, Y, Z) uint8: 1 left breast, 2 right breast, 0 neither; None where nobody drew it.
        site: hospital or source data set.
        meta: anything else a table says, such as vendor or field strength.
        warnings: what the loader had to assume.
    """

    study_id: str
    patient_id: str
    phases: np.ndarray
    affine: np.ndarray
    times_s: tuple[float, ...] | None = None
    labels: Mapping[Side, int | None] = field(default_factory=lambda: {"left": None, "right": None})
    labels3: Mapping[Side, int | None] = field(default_factory=dict)
    lesion_mask: np.ndarray | None = None
    center_mm: tuple[float, float, float] | None = None
    lesion_side: Side | None = None
    breast_mask: np.ndarray | None = None
    site: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.phases.ndim != 4 or 0 in self.phases.shape:
            raise DataError(f"study: phases are {self.phases.shape}; expected (phases, x, y, z) with voxels")
        if self.times_s is not None and len(self.times_s) != len(self.phases):
            raise DataError(f"study: {len(self.times_s)} acquisition times for {len(self.phases)} phases")
        for name in ("lesion_mask", "breast_mask"):
            mask = getattr(self, name)
            if mask is not None and mask.shape != self.shape:
                raise DataError(f"study: {name} is {mask.shape}, the phases are {self.shape}; resample one")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y and z."""
        _, x, y, z = self.phases.shape
        return x, y, z

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along x, y and z."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The breasts that the images show."""
        return tuple(side for side in SIDES if side in self.labels)

    def to_mm(self, index: np.ndarray | tuple[float, ...]) -> tuple[float, float, float]:
        """World coordinates (RAS+, mm) of a voxel index (x, y, z), which may be fractional."""
        x, y, z = self.affine[:3, :3] @ np.asarray(index, float) + self.affine[:3, 3]
        return float(x), float(y), float(z)


def mask_center_mm(mask: np.ndarray, affine: np.ndarray) -> tuple[float, float, float]:
    """Centroid of a mask (X, Y, Z) in millimetres.

    Raises:
        DataError: the mask is empty.

    Example:
        >>> mask_center_mm(np.ones((3, 1, 1), bool), np.diag([2.0, 1.0, 1.0, 1.0]))
        (2.0, 0.0, 0.0)
    """
    index = np.argwhere(mask)
    if not len(index):
        raise DataError("lesion mask: empty; it has no centre")
    x, y, z = affine[:3, :3] @ index.mean(0) + affine[:3, 3]
    return float(x), float(y), float(z)


def mirrored(study: Study) -> Study:
    """The same study seen in a mirror: left and right change places, the grid stays where it is.

    The mirror plane is the middle of the volume along x, so for an oblique affine it is the plane of the voxel grid,
    not the patient's sagittal plane.
    """

    def flip(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else np.ascontiguousarray(array[::-1])

    def swap(values: Mapping[Side, int | None]) -> dict[Side, int | None]:
        return {OTHER[side]: value for side, value in values.items()}

    center = study.center_mm
    if center is not None:
        index = np.linalg.solve(study.affine[:3, :3], np.asarray(center) - study.affine[:3, 3])
        index[0] = study.shape[0] - 1 - index[0]
        center = study.to_mm(index)
    breasts = flip(study.breast_mask)
    if breasts is not None:
        breasts = np.array([0, 2, 1], np.uint8)[breasts]
    return Study(
        study.study_id,
        study.patient_id,
        np.ascontiguousarray(study.phases[:, ::-1]),
        study.affine,
        study.times_s,
        swap(study.labels),
        swap(study.labels3),
        flip(study.lesion_mask),
        center,
        None if study.lesion_side is None else OTHER[study.lesion_side],
        breasts,
        study.site,
        study.meta,
        study.warnings,
    )
