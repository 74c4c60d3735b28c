"""A study -> one network input per breast, with the geometry that leads back to millimetres.

The plan is data: it travels with the weights. The right breast is mirrored, so that the network sees left breasts
only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field
from scipy import ndimage

from ._shared.config import FrozenModel
from ._shared.errors import DataError
from .crop import BreastRegion, find_breast
from .data.study import Side, Study
from .grids import Window

CLIP = (-3.0, 5.0)
_TIE = 1e-3  # windows often start between two voxels: rounding of a header's spacing must not decide the ties
MARGIN_MM = 8.0  # kept around the breast: skin, and lesions at the chest wall


class Preprocessing(FrozenModel):
    """How a breast becomes an array; equations and defaults are ours, the paper's are unknown.

    With S_k the phases, scale = 90th percentile of S_0 inside the breast, mean and sd of S_0 inside the breast:
    `pre+sub1+washout` is ((S_0 - mean) / sd, (S_1 - S_0) / scale, (S_last - S_1) / scale); `sub` is
    (S_k - S_0) / scale for k = 1 .. post_phases. Everything is clipped to [-3, 5], and 0 outside the breast. All
    phases share the statistics of the pre-contrast one: normalising each phase by itself would erase enhancement.
    """

    channels: Literal["sub", "pre+sub1+washout"] = "pre+sub1+washout"
    post_phases: int = Field(2, ge=1, le=20, description="phases of the preset `sub`")
    size: tuple[int, int, int] = Field((32, 256, 256), description="voxels: slices, rows, columns")
    spacing_mm: tuple[float, float, float] = Field((3.0, 0.7, 0.7), description="slices, rows, columns")

    @property
    def num_channels(self) -> int:
        """Channels of the network's input."""
        return 3 if self.channels == "pre+sub1+washout" else self.post_phases

    @property
    def channel_names(self) -> tuple[str, ...]:
        """What each channel is."""
        if self.channels == "pre+sub1+washout":
            return "pre", "sub1", "washout"
        return tuple(f"sub{k}" for k in range(1, self.post_phases + 1))

    @property
    def enhancement_channel(self) -> int:
        """Index of S_1 - S_0, which the enhancement baseline reads."""
        return self.channel_names.index("sub1")


@dataclass(frozen=True, eq=False)
class BreastInput:
    """One breast as the network takes it.

    Attributes:
        array: (C, D, H, W) float32; a right breast is mirrored along W.
        region: (D, H, W) bool, the breast; channels are 0 outside of it.
        window: where the voxels lie in the study.
        affine: (4, 4), index (d, h, w) -> mm in RAS+ world coordinates, mirroring included.
        side: which breast.
        study_id: of the study.
        patient_id: the group key of every split.
        site: hospital or source data set.
        label: malignant or not; None where unknown.
        lesion: (D, H, W) float32 share of each voxel inside the annotated lesion, or None.
        center_mm: centre of the annotated lesion of this breast, RAS+ mm, or None.
        problems: of the breast region; empty where it is plausible.
        split: train, val, test or nothing, as the data set says.
        fold: of a cross-validation, as the data set says.
        meta: what else the table says, such as vendor or age; for subgroups.
    """

    array: np.ndarray
    region: np.ndarray
    window: Window
    affine: np.ndarray
    side: Side
    study_id: str
    patient_id: str
    site: str
    label: int | None
    lesion: np.ndarray | None
    center_mm: tuple[float, float, float] | None
    problems: tuple[str, ...] = ()
    split: str = ""
    fold: int | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


def breast_input(study: Study, side: Side, plan: Preprocessing) -> BreastInput:
    """Cut one breast out of a study, resample and normalise it.

    Raises:
        DataError: the side is not in the study, too few phases, NaN voxels, or a breast without contrast.
    """
    if side not in study.sides:
        raise DataError(f"study: shows {' and '.join(study.sides)}, asked for the {side} breast")
    _require_phases(study, plan)
    region = find_breast(study, side)
    window = breast_window(study, side, region, plan)
    needed = _needed_phases(len(study.phases), plan)
    with np.errstate(over="ignore", invalid="ignore"):
        phases = window.sample(study.phases[needed])
    inside = window.sample(_padded(region.mask, study.spacing_mm)) > 0.5 - _TIE
    array = normalise_phases(phases, inside, plan)
    here = study.lesion_side in (side, None) and study.center_mm is not None
    lesion = window.sample(study.lesion_mask) if here and study.lesion_mask is not None else None
    return BreastInput(
        array,
        inside,
        window,
        window.affine(study.affine),
        side,
        study.study_id,
        study.patient_id,
        study.site,
        study.labels.get(side),
        lesion,
        study.center_mm if here else None,
        region.problems,
        meta=study.meta,
    )


def breast_inputs(study: Study, plan: Preprocessing) -> list[BreastInput]:
    """The inputs of all breasts that a study shows."""
    return [breast_input(study, side, plan) for side in study.sides]


def breast_window(study: Study, side: Side, region: BreastRegion, plan: Preprocessing) -> Window:
    """The window of the plan's size around the middle of the breast's box."""
    step = np.array(plan.spacing_mm[::-1]) / np.array(study.spacing_mm)
    middle = region.box().mean(1)
    if side == "right":
        step[0] = -step[0]
    x, y, z = (float(v) for v in middle - step * (np.array(plan.size[::-1]) - 1) / 2)
    return Window(plan.size, (x, y, z), (float(step[0]), float(step[1]), float(step[2])))


def normalise_phases(phases: np.ndarray, inside: np.ndarray, plan: Preprocessing) -> np.ndarray:
    """Phases that the preset needs (3 or 1 + post, D, H, W) -> channels (C, D, H, W), see `Preprocessing`.

    Raises:
        DataError: no voxel inside, NaN or infinite intensities, or a constant pre-contrast phase.
    """
    if not inside.any():
        raise DataError("breast: no voxel inside the network's window; check the breast mask and the spacing")
    pre = phases[0]
    values = pre[inside]
    if not np.isfinite(phases[:, inside]).all():
        raise DataError("breast: NaN or infinite intensities; repair the phases")
    scale, spread = float(np.percentile(values, 90)), float(values.std())
    if scale <= 0 or spread <= 1e-6 * scale:
        raise DataError("breast: the pre-contrast phase is constant or empty there; check the phases and the crop")
    if plan.channels == "sub":
        channels = (phases[1:] - pre) / scale
    else:
        first, last = phases[1], phases[2]
        channels = np.stack([(pre - values.mean()) / spread, (first - pre) / scale, (last - first) / scale])
    return np.where(inside, channels.clip(*CLIP), 0).astype(np.float32)


def _require_phases(study: Study, plan: Preprocessing) -> None:
    found, needed = len(study.phases), 3 if plan.channels == "pre+sub1+washout" else plan.post_phases + 1
    if found < needed:
        raise DataError(
            f"study: {found} phase{'s' * (found != 1)}, the channels {plan.channels!r} need {needed}; "
            "give the missing phases, or train with other channels"
        )


def _needed_phases(found: int, plan: Preprocessing) -> list[int]:
    return [0, 1, found - 1] if plan.channels == "pre+sub1+washout" else list(range(plan.post_phases + 1))


def _padded(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """The mask and what lies within `MARGIN_MM` of it."""
    if mask.all() or not mask.any():
        return mask
    reach = [int(np.ceil(MARGIN_MM / step)) + 1 for step in spacing_mm]
    near = tuple(
        slice(max(0, int(a.min()) - r), int(a.max()) + r + 1) for a, r in zip(np.nonzero(mask), reach, strict=True)
    )
    padded = mask.copy()
    padded[near] = ndimage.distance_transform_edt(~mask[near], sampling=spacing_mm) <= MARGIN_MM + _TIE
    return padded
