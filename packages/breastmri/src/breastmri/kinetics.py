"""Contrast kinetics from the true acquisition times: curves, maps and curve types (specification 4.11; rules ours).

With S_0 the pre-contrast signal, S_e the early post-contrast phase (the one nearest to 120 s; the first where times
are unknown), S_last the last phase:

    PE  = (S_e - S_0) / S_0                          percent enhancement (as a fraction)
    SER = (S_e - S_0) / (S_last - S_0)               signal enhancement ratio
    TTP = time of the strongest phase, seconds
    washout = (S_last - S_e) / S_e / (t_last - t_e)  per minute; negative: the signal falls

Curve types by SER: I persistent below 0.9, II plateau, III wash-out above 1.1; only where the strongest phase exceeds
S_0 by half. Where a quantity is undefined it is NaN, in maps 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._shared.errors import DataError
from .data.study import Study

EARLY_S = 120.0
ENHANCING = 0.5
PLATEAU = (0.9, 1.1)
TYPES = {1: "I persistent", 2: "II plateau", 3: "III wash-out"}
_MIN_SIGNAL = 0.05  # of the 99th percentile of S_0: air has no enhancement
_MIN_LATE = 0.1  # of S_0: below, SER divides noise by noise


@dataclass(frozen=True)
class Kinetics:
    """One curve in numbers; NaN where undefined.

    Attributes:
        pe: fraction of S_0.
        ser: ratio.
        ttp_s: seconds; NaN without times.
        washout_per_min: fraction of S_e a minute; NaN without times.
        type: 1, 2, 3, or 0 where nothing enhances.
        curve: (P,) enhancement relative to S_0, 0 first.
        fractions: share of voxels of types 1, 2, 3 among all of the region.
        voxels: of the region.
    """

    pe: float
    ser: float
    ttp_s: float
    washout_per_min: float
    type: int
    curve: tuple[float, ...]
    fractions: tuple[float, float, float]
    voxels: int


def early_phase(times_s: Sequence[float] | None, phases: int) -> int:
    """Index of the early post-contrast phase.

    Example:
        >>> early_phase((0, 60, 120, 180), 4), early_phase(None, 4)
        (2, 1)
    """
    if phases < 2:
        raise DataError("kinetics: one phase has no enhancement; expected a pre- and a post-contrast phase")
    if times_s is None:
        return 1
    return 1 + int(np.argmin([abs(t - times_s[0] - EARLY_S) for t in times_s[1:]]))


def kinetic_maps(study: Study) -> dict[str, np.ndarray]:
    """Maps (X, Y, Z) float32: pe, ser, and with known times ttp_s and washout_per_min; type as 0 to 3.

    Raises:
        DataError: one phase only.
    """
    phases, times = study.phases, study.times_s
    early = early_phase(times, len(phases))
    pre, first, last = phases[0], phases[early], phases[-1]
    signal = pre > _MIN_SIGNAL * np.percentile(pre, 99)
    with np.errstate(divide="ignore", invalid="ignore"):
        pe = np.where(signal, (first - pre) / pre, np.nan)
        late = np.where(signal & (np.abs(last - pre) >= _MIN_LATE * pre), last - pre, np.nan)
        ser = (first - pre) / late
    strongest = 1 + phases[1:].argmax(0)
    peak = np.take_along_axis(phases, strongest[None], 0)[0]
    enhancing = signal & (peak >= (1 + ENHANCING) * pre)
    maps = {"pe": pe, "ser": ser}
    if times is not None:
        maps["ttp_s"] = np.where(enhancing, np.asarray(times, np.float32)[strongest] - times[0], np.nan)
        minutes = (times[-1] - times[early]) / 60
        if minutes > 0:
            with np.errstate(divide="ignore", invalid="ignore"):
                maps["washout_per_min"] = np.where(enhancing, (last - first) / first / minutes, np.nan)
    maps = {name: np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) for name, values in maps.items()}
    maps["type"] = np.where(enhancing & np.isfinite(ser), curve_type(np.nan_to_num(ser)), 0)
    return {name: values.astype(np.float32) for name, values in maps.items()}


def curve_type(ser: np.ndarray) -> np.ndarray:
    """1, 2 or 3 by SER.

    Example:
        >>> curve_type(np.array([0.5, 1.0, 1.4])).tolist()
        [1, 2, 3]
    """
    return 1 + (ser >= PLATEAU[0]).astype(int) + (ser > PLATEAU[1])


def region_kinetics(study: Study, region: np.ndarray) -> Kinetics:
    """Kinetics of the mean curve of a region (X, Y, Z) bool, and the share of each curve type in it.

    Raises:
        DataError: an empty region, or one phase only.
    """
    if not region.any():
        raise DataError("kinetics: an empty region has no curve")
    curve = study.phases[:, region].mean(1, dtype=np.float64)
    early = early_phase(study.times_s, len(curve))
    pre, first, last = curve[0], curve[early], curve[-1]
    if not pre > 0:
        nan = float("nan")
        return Kinetics(nan, nan, nan, nan, 0, (nan,) * len(curve), (0.0, 0.0, 0.0), int(region.sum()))
    ser = (first - pre) / (last - pre) if abs(last - pre) >= _MIN_LATE * pre else float("nan")
    strongest = 1 + int(curve[1:].argmax())
    enhancing = curve[strongest] >= (1 + ENHANCING) * pre
    ttp, slope = _timing(study.times_s, curve, early, strongest)
    kind = int(curve_type(np.array(ser))) if enhancing and np.isfinite(ser) else 0
    types = _voxel_types(study.phases[:, region], early)
    fractions = tuple(float((types == k).mean()) for k in (1, 2, 3))
    relative = tuple(float(v) for v in curve / pre - 1)
    return Kinetics(
        float((first - pre) / pre),
        float(ser),
        ttp,
        slope,
        kind,
        relative,
        (fractions[0], fractions[1], fractions[2]),
        int(region.sum()),
    )


def sphere(study: Study, center_mm: Sequence[float], radius_mm: float) -> np.ndarray:
    """(X, Y, Z) bool: voxels whose centres lie within a radius, at least the nearest one.

    Raises:
        DataError: the centre lies outside of the volume.
    """
    inverse = np.linalg.inv(study.affine[:3, :3])
    index = inverse @ (np.asarray(center_mm) - study.affine[:3, 3])
    nearest = np.rint(index).astype(int)
    if (nearest < 0).any() or (nearest >= study.shape).any():
        raise DataError("kinetics: the place lies outside of the volume")
    reach = radius_mm * np.linalg.norm(inverse, axis=1)  # voxels along each axis
    low = np.maximum(np.floor(index - reach).astype(int), 0)
    high = np.minimum(np.ceil(index + reach).astype(int) + 1, study.shape)
    grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), -1) - index
    mask = np.zeros(study.shape, bool)
    near = np.linalg.norm(grid @ study.affine[:3, :3].T, axis=-1) <= radius_mm
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = near
    mask[tuple(nearest)] = True
    return mask


def wash_in(study: Study) -> tuple[float, ...]:
    """Median relative change of the tissue from the first phase to each later one; all positive in the right order.

    Empty with a single phase, NaN without tissue.
    """
    pre = study.phases[0].astype(np.float64)
    tissue = pre > 0.25 * np.percentile(pre, 95) if pre.max() > 0 else np.zeros(pre.shape, bool)
    if not tissue.any():
        return (float("nan"),) * (len(study.phases) - 1)
    base = pre[tissue]
    return tuple(float(np.median((phase[tissue] - base) / base)) for phase in study.phases[1:])


def _timing(times: tuple[float, ...] | None, curve: np.ndarray, early: int, strongest: int) -> tuple[float, float]:
    if times is None:
        return float("nan"), float("nan")
    minutes = (times[-1] - times[early]) / 60
    slope = (curve[-1] - curve[early]) / curve[early] / minutes if minutes > 0 else float("nan")
    return float(times[strongest] - times[0]), float(slope)


def _voxel_types(values: np.ndarray, early: int) -> np.ndarray:
    """Curve types of voxels (P, n)."""
    pre, last = values[0].astype(np.float64), values[-1].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ser = (values[early] - pre) / (last - pre)
    usable = (values[1:].max(0) >= (1 + ENHANCING) * pre) & (np.abs(last - pre) >= _MIN_LATE * pre)
    return np.where(usable & np.isfinite(ser), curve_type(np.nan_to_num(ser)), 0)
