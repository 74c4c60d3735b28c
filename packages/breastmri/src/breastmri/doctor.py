"""What is wrong with a data set before anybody trains on it; every check counts, none names a patient."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from scipy import stats

from ._shared.errors import DataError
from ._shared.logs import progress
from .crop import find_breast
from .data.manifest import Manifest, Row
from .data.reading import load_rows
from .data.study import Study
from .kinetics import wash_in

Level = Literal["finding", "note"]
_MIN_CASES = 20  # fewer cannot show that a label depends on the site
_CONFOUNDED = 0.4  # Cramer's V
_PLAUSIBLE_S = (20.0, 3600.0)  # length of a dynamic series


@dataclass(frozen=True)
class Finding:
    """One check's result: a finding should be repaired, a note known."""

    check: str
    level: Level
    count: int
    message: str


@dataclass
class _Seen:
    """What the studies' files told, without identifiers."""

    reversed_phases: int = 0
    suspicious: int = 0
    unreadable: list[str] = field(default_factory=list)
    regions: Counter[str] = field(default_factory=Counter)
    orientations: Counter[str] = field(default_factory=Counter)
    slice_axes: Counter[str] = field(default_factory=Counter)
    single_phase: int = 0
    spacing: list[tuple[float, float, float]] = field(default_factory=list)
    times: list[tuple[float, ...] | None] = field(default_factory=list)
    prints: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    assumptions: Counter[str] = field(default_factory=Counter)


def examine(manifest: Manifest, *, limit: int | None = None, quiet: bool = False) -> list[Finding]:
    """Run all checks.

    Args:
        manifest: of the data.
        limit: read the files of the first studies only; the table is checked as a whole.
        quiet: no progress.
    """
    seen = _read(manifest, limit, quiet=quiet)
    found = [
        *_table_checks(manifest),
        *_file_checks(seen),
        *(Finding("loader", "note", 1, text) for text in manifest.warnings),
        *(Finding("assumption", "note", count, text) for text, count in seen.assumptions.items()),
    ]
    return sorted(found, key=lambda one: one.level)


def _read(manifest: Manifest, limit: int | None, *, quiet: bool) -> _Seen:
    seen = _Seen()
    studies = list(manifest.studies().values())[:limit]
    with progress(len(studies), "reading studies", quiet=quiet) as bar:
        for rows in studies:
            try:
                study, volume = load_rows(manifest, rows)
            except DataError as err:
                seen.unreadable.append(str(err))
            else:
                _note_study(seen, study, rows)
                seen.orientations[volume.source.orientation] += 1
            bar.update()
    return seen


def _note_study(seen: _Seen, study: Study, rows: Sequence[Row]) -> None:
    changes = wash_in(study)
    seen.single_phase += len(study.phases) < 2
    seen.reversed_phases += any(change <= 0 for change in changes)
    seen.times.append(study.times_s)
    seen.spacing.append(study.spacing_mm)
    for text in study.warnings:
        seen.suspicious += "suspicious" in text
        seen.assumptions[text] += "suspicious" not in text
    seen.assumptions += Counter()  # drops zeros
    seen.slice_axes["xyz"[int(np.argmax(study.spacing_mm))]] += 1
    digest = hashlib.sha256(np.ascontiguousarray(study.phases[0]).tobytes()).hexdigest()
    seen.prints[digest].add(rows[0].patient_id)
    for side in study.sides:
        try:
            for problem in find_breast(study, side).problems:
                seen.regions["".join(c for c in problem if not c.isdigit())] += 1
        except DataError as err:
            seen.regions[str(err)] += 1


def _table_checks(manifest: Manifest) -> Iterator[Finding]:
    rows = manifest.rows
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        splits[row.patient_id] |= {row.split} - {""}
    leaks = sum(len(parts) > 1 for parts in splits.values())
    if leaks:
        yield Finding(
            "leakage", "finding", leaks, f"{leaks} patients are in more than one split; keep each in one"
        )
    labels = Counter(row.label for row in rows)
    if labels[None]:
        yield Finding("labels", "note", labels[None], f"{labels[None]} of {len(rows)} breasts have no label")
    if not (labels[0] and labels[1]):
        known = labels[0] + labels[1]
        yield Finding(
            "labels", "finding", known, f"all {known} labelled breasts are of one class; nothing can be learnt"
        )
    confounding = _confounding([(row.site, row.label) for row in rows if row.label is not None])
    if confounding:
        yield confounding


def _confounding(pairs: Sequence[tuple[str, int]]) -> Finding | None:
    """Cramer's V of label and site: a network may learn the scanner instead of the cancer."""
    sites = sorted({site for site, _ in pairs})
    if len(sites) < 2 or len(pairs) < _MIN_CASES:
        return None
    table = np.array([[sum(s == site and y == label for s, y in pairs) for label in (0, 1)] for site in sites])
    if (table.sum(0) == 0).any():
        return None
    result: Any = stats.chi2_contingency(table, correction=False)
    v = float(np.sqrt(result.statistic / table.sum()))
    if v < _CONFOUNDED or result.pvalue > 0.01:
        return None
    rates = ", ".join(f"{100 * row[1] / row.sum():.0f} %" for row in table)
    return Finding(
        "confounding",
        "finding",
        len(sites),
        f"label and site depend on each other (Cramer's V {v:.2f}, p {result.pvalue:.1g}): malignant in {rates} of "
        f"{len(sites)} sites; balance them, or leave sites out one by one",
    )


def _file_checks(seen: _Seen) -> Iterator[Finding]:
    if seen.unreadable:
        count = len(seen.unreadable)
        yield Finding(
            "files", "finding", count, f"{count} studies cannot be read; the first: {seen.unreadable[0]}"
        )
    if seen.single_phase:
        yield Finding("phases", "finding", seen.single_phase, f"{seen.single_phase} studies have one phase only")
    if seen.reversed_phases:
        count = seen.reversed_phases
        yield Finding(
            "phase order",
            "finding",
            count,
            f"{count} studies have a later phase with tissue no brighter than in the first; is that one pre-contrast?",
        )
    if seen.suspicious:
        yield Finding(
            "phase order", "finding", seen.suspicious, f"phase order suspicious in {seen.suspicious} studies"
        )
    twins = sum(len(patients) > 1 for patients in seen.prints.values())
    if twins:
        yield Finding(
            "leakage", "finding", twins, f"{twins} images are shared by several patients; remove the copies"
        )
    for problem, count in seen.regions.items():
        yield Finding(
            "breasts", "finding", count, f"{count} breasts: {problem}; look at them or give breast masks"
        )
    yield from _geometry_checks(seen)
    yield from _time_checks(seen.times)


def _geometry_checks(seen: _Seen) -> Iterator[Finding]:
    if len(seen.slice_axes) > 1:
        parts = ", ".join(f"{n} along {axis}" for axis, n in seen.slice_axes.items())
        yield Finding(
            "orientation", "finding", len(seen.slice_axes), f"slices are cut in several directions: {parts}"
        )
    if len(seen.orientations) > 1:
        parts = ", ".join(f"{n} {code}" for code, n in seen.orientations.items())
        yield Finding(
            "orientation",
            "note",
            len(seen.orientations),
            f"files differ in their axes ({parts}); affines are used",
        )
    if seen.spacing:
        ratio = np.max(seen.spacing, 0) / np.min(seen.spacing, 0)
        if ratio.max() > 3:
            yield Finding(
                "spacing", "note", 1, f"voxel sizes differ up to {ratio.max():.1f}-fold; they are resampled"
            )


def _time_checks(times: Sequence[tuple[float, ...] | None]) -> Iterator[Finding]:
    known = [t for t in times if t is not None]
    missing = len(times) - len(known)
    if missing:
        yield Finding(
            "times", "note", missing, f"{missing} studies have no acquisition times; no time to peak there"
        )
    falling = sum(any(b <= a for a, b in pairwise(t)) for t in known)
    if falling:
        yield Finding("times", "finding", falling, f"acquisition times do not grow in {falling} studies")
    lengths = [t[-1] - t[0] for t in known if len(t) > 1]
    short, long = (sum(x < _PLAUSIBLE_S[0] for x in lengths), sum(x > _PLAUSIBLE_S[1] for x in lengths))
    if short:
        yield Finding(
            "times", "finding", short, f"{short} dynamic series last under 20 s; are the times in minutes?"
        )
    if long:
        yield Finding(
            "times", "finding", long, f"{long} dynamic series last over an hour; are the times in milliseconds?"
        )
