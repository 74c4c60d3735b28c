"""From DICOM series to the phases of a dynamic examination (specification 4.8; order of the tests is ours).

Names of files, series descriptions and instance numbers decide nothing as long as positions and times can.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.errors import DataError
from .._shared.io.dicom import DicomSeries, DicomSlice, find_series

MIN_SLICES = 10  # fewer are localisers
MAX_ECHO_MS = 5.0  # longer echoes are not the T1-weighted gradient echo of a dynamic series
_DERIVED = {"SUB", "SUBTRACTION", "SUBTRACT", "MIP", "PROJECTION", "MPR", "PROJECTION IMAGE", "LOCALIZER"}
_DAY = 86_400.0
_PRE = re.compile(r"\b(pre|before|nativ\w*|ohne)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Phase:
    """One time point: its slices, one per place, and when it was acquired (seconds since midnight)."""

    slices: tuple[DicomSlice, ...]
    time_s: float | None
    number: int | None
    description: str = ""


@dataclass(frozen=True)
class Dynamic:
    """The phases of an examination in the order of time, pre-contrast first.

    Attributes:
        phases: at least one.
        times_s: seconds after the first phase, or None where the files do not say.
        warnings: what was assumed, without identifiers.
    """

    phases: tuple[Phase, ...]
    times_s: tuple[float, ...] | None
    warnings: tuple[str, ...] = ()

    @property
    def meta(self) -> dict[str, Any]:
        """Maker and field strength of the scanner, where the files tell."""
        first = self.phases[0].slices[0]
        values = {"vendor": first.maker, "field_strength_t": first.field_t}
        return {name: value for name, value in values.items() if value}


def find_dynamic(folder: Path) -> Dynamic:
    """The dynamic series in a folder of DICOM files.

    Raises:
        DataError: no DICOM images, no MR, or no dynamic series among them; the message counts what was left out.
    """
    return dynamic_phases(find_series(folder))


def dynamic_phases(series: Sequence[DicomSeries]) -> Dynamic:
    """The largest family of equal T1 volumes among series, as phases.

    Raises:
        DataError: no MR, nothing that can be a dynamic series, or missing slices.
    """
    mr = [one for one in series if one.modality == "MR"]
    if not mr:
        found = ", ".join(sorted({one.modality or "unknown" for one in series}))
        raise DataError(f"no MR series: found the modality {found}; expected a breast DCE-MRI examination")
    families: dict[tuple, list[Phase]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    warnings: list[str] = []
    for one in mr:
        for key, slices in _stacks(one, left_out).items():
            families[key].extend(_split(one, slices, warnings))
    if not families:
        reasons = ", ".join(f"{count} files: {reason}" for reason, count in left_out.most_common())
        raise DataError(f"no dynamic T1 series: left out {reasons}; expected one pre- and several post phases")
    best = max(families.values(), key=lambda phases: (len(phases), len(phases[0].slices)))
    return _ordered(best, warnings)


def _stacks(series: DicomSeries, left_out: Counter[str]) -> dict[tuple, list[DicomSlice]]:
    """The usable slices of a series by geometry; counts what is not usable."""
    groups: dict[tuple, list[DicomSlice]] = defaultdict(list)
    for item in series.slices:
        reason = _unusable(item)
        if reason:
            left_out[reason] += 1
            continue
        spacing = tuple(round(v, 3) for v in item.spacing_mm or ())
        direction = tuple(round(v, 2) + 0.0 for v in item.orientation or ())
        groups[series.study_uid, item.frame_uid, item.rows, item.columns, spacing, direction].append(item)
    usable = {}
    for key, slices in groups.items():
        places = len({_place(item) for item in slices})
        if places < MIN_SLICES:
            left_out[f"fewer than {MIN_SLICES} slices (localiser)"] += len(slices)
        else:
            usable[*key, places] = slices
    return usable


def _unusable(item: DicomSlice) -> str:
    kinds = {part.upper() for part in item.image_type}
    if kinds & _DERIVED:
        return "subtraction, projection or localiser"
    if item.b_value is not None:
        return "diffusion"
    if item.echo_ms is not None and item.echo_ms >= MAX_ECHO_MS:
        return f"echo time of {MAX_ECHO_MS:g} ms or more (not T1 gradient echo)"
    if item.acquisition_type == "2D":
        return "2-D acquisition"
    if item.position_mm is None or item.orientation is None or item.spacing_mm is None:
        return "no position in space"
    return ""


def _place(item: DicomSlice) -> float:
    across, down = np.reshape(item.orientation or (), (2, 3))
    # The sum keeps -0.0 and 0.0 one place.
    return round(float(np.cross(across, down) @ np.array(item.position_mm)), 2) + 0.0


def _split(series: DicomSeries, slices: list[DicomSlice], warnings: list[str]) -> list[Phase]:
    """The time points inside one series."""
    places: dict[float, list[DicomSlice]] = defaultdict(list)
    for item in slices:
        places[_place(item)].append(item)
    counts = {len(items) for items in places.values()}
    if len(counts) > 1:
        raise DataError(
            f"a dynamic series has {min(counts)} to {max(counts)} images per slice position; files are missing"
        )
    count = counts.pop()
    if count == 1:
        return [_phase(series, slices)]
    keys: list[Callable[[DicomSlice], float | None]] = [
        lambda item: item.temporal_position,
        lambda item: item.acquisition_number,
        lambda item: item.trigger_ms,
        lambda item: item.content_s,
        lambda item: item.acquisition_s,
    ]
    for key in keys:
        groups = _by_key(places, count, key)
        if groups:
            return [_phase(series, group) for group in groups]
    warnings.append(f"{count} phases in one series were split by the order of files, no time tag tells them apart")
    return [_phase(series, [items[k] for items in places.values()]) for k in range(count)]


def _by_key(
    places: dict[float, list[DicomSlice]], count: int, key: Callable[[DicomSlice], float | None]
) -> list[list[DicomSlice]] | None:
    """Phase k holds the k-th slice of every place, provided that all of phase k come before all of phase k + 1."""
    columns = []
    for items in places.values():
        values = [key(item) for item in items]
        if None in values:
            return None
        columns.append(sorted(items, key=lambda item: key(item) or 0))
    groups = [[column[k] for column in columns] for k in range(count)]
    ends = [(min(key(i) or 0 for i in group), max(key(i) or 0 for i in group)) for group in groups]
    return groups if all(a[1] < b[0] for a, b in pairwise(ends)) else None


def _phase(series: DicomSeries, slices: Sequence[DicomSlice]) -> Phase:
    def earliest(values: Sequence[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return min(known) if known else None

    time = earliest([item.acquisition_s for item in slices])
    if time is None:
        time = earliest([item.content_s for item in slices])
    return Phase(tuple(slices), series.series_s if time is None else time, series.number, series.description)


def _ordered(phases: list[Phase], warnings: list[str]) -> Dynamic:
    times = _unwrapped([phase.time_s for phase in phases])
    triggers = [phase.slices[0].trigger_ms for phase in phases]
    if len(phases) > 1 and len(set(times)) == 1 and len(set(triggers)) == len(phases) and None not in triggers:
        times = [(trigger or 0) / 1000 for trigger in triggers]  # GE: one acquisition time, trigger time counts on
    numbers = [phase.number or 0 for phase in phases]
    known = None not in times
    if not known:
        warnings.append("phases are ordered by series number, no acquisition time is known")
    order = sorted(range(len(phases)), key=lambda i: (times[i] if known else 0, numbers[i], i))
    phases = [phases[i] for i in order]
    distinct = known and len(set(times)) == len(times)
    if known and not distinct and len(phases) > 1:
        warnings.append("several phases carry the same acquisition time, times are unknown")
    ordered = [times[i] or 0.0 for i in order] if distinct else None
    phases, ordered = _from_pre(phases, ordered, warnings)
    if any(_PRE.search(phase.description) for phase in phases[1:]) and not _PRE.search(phases[0].description):
        warnings.append("phase order suspicious: a later series is described as pre-contrast")
    seconds = None if ordered is None else tuple(float(t - ordered[0]) for t in ordered)
    return Dynamic(tuple(phases), seconds, tuple(dict.fromkeys(warnings)))


def _unwrapped(times: list[float | None]) -> list[float | None]:
    """Times after midnight follow those before it."""
    known = [t for t in times if t is not None]
    if known and max(known) - min(known) > _DAY / 2:
        return [t + _DAY if t is not None and t < _DAY / 2 else t for t in times]
    return times


def _from_pre(
    phases: list[Phase], times: list[float] | None, warnings: list[str]
) -> tuple[list[Phase], list[float] | None]:
    """Keep the last phase before the contrast agent, and what follows."""
    bolus = next((item.contrast_s for phase in phases for item in phase.slices[:1] if item.contrast_s), None)
    if bolus is None or times is None:
        return phases, times
    before = sum(t < bolus for t in times)
    if before == 0:
        warnings.append("phase order suspicious: no phase was acquired before the contrast agent")
    if before > 1:
        warnings.append(f"{before} phases before the contrast agent, the last of them is used")
        return phases[before - 1 :], times[before - 1 :]
    return phases, times
