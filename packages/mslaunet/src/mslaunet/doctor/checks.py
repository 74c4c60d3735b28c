"""Every check: facts of all cases in, findings out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .._shared.errors import DataError
from ..data.dataset import Dataset
from ..data.labels import require_liver_largest
from ..data.manifest import changed_files, read_manifest
from ..data.splits import crossing_units
from .facts import CaseFacts

Severity = Literal["error", "warning", "note"]
_MIN_SIDE_PX = 32  # the coarsest map of the network has one pixel per 32
_MAX_AMBIGUOUS = 0.01  # of the mask's pixels; a clean anti-aliased outline stays below
_SPACING_RATIO = 3.0  # to the median; beyond, one field of view is another kind of scan
_MIN_RANGE = 1 / 64  # of [0, 1]: a 16-bit picture that uses less is black after scaling
_TISSUE_HU = 80.0  # the softest window shows at least this much of a CT
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One thing to look at: the check, how bad it is, what was found, and the cases."""

    check: str
    severity: Severity
    message: str
    cases: tuple[str, ...] = ()


def _sizes(facts: Sequence[CaseFacts], dataset: Dataset) -> Iterator[Finding]:
    small = [f.case_id for f in facts if min(f.shape[1:]) < _MIN_SIDE_PX]
    if small:
        yield Finding(
            "size", "warning", f"{_count(small, facts)} are smaller than {_MIN_SIDE_PX} pixels", tuple(small)
        )


def _spacing(facts: Sequence[CaseFacts], dataset: Dataset) -> Iterator[Finding]:
    if not facts or not dataset.is_volumetric or not dataset.spacing_known:
        return
    spacing = np.array([f.spacing_mm for f in facts])
    ratio = spacing / np.median(spacing, axis=0)
    odd = [
        f.case_id
        for f, r in zip(facts, ratio, strict=True)
        if r.max() > _SPACING_RATIO or r.min() < 1 / _SPACING_RATIO
    ]
    if odd:
        middle = "x".join(f"{v:.3g}" for v in np.median(spacing, axis=0))
        yield Finding(
            "spacing",
            "warning",
            f"{_count(odd, facts)} have voxels far from the median of {middle} mm",
            tuple(odd),
        )
    unit = [f.case_id for f in facts if np.allclose(f.spacing_mm, 1.0)]
    if len(unit) == len(facts) and len(facts) > 1:
        yield Finding("spacing", "warning", "every voxel is 1x1x1 mm: was the voxel size lost in a conversion?")


def _orientation(facts: Sequence[CaseFacts], dataset: Dataset) -> Iterator[Finding]:
    codes = Counter(f.orientation for f in facts if f.orientation)
    if len(codes) > 1:
        usual = codes.most_common(1)[0][0]
        odd = tuple(f.case_id for f in facts if f.orientation not in ("", usual))
        text = ", ".join(f"{code} {count}" for code, count in codes.most_common())
        yield Finding(
            "orientation",
            "warning",
            f"files are stored in different orientations ({text}); they are read into one, other tools may not",
            odd,
        )


def _intensities(facts: Sequence[CaseFacts], dataset: Dataset) -> Iterator[Finding]:
    flat = tuple(f.case_id for f in facts if f.low == f.high)
    if flat:
        yield Finding("intensity", "error", f"{_count(flat, facts)} have one single intensity", flat)
    if dataset.is_volumetric and all(name.upper() == "CT" for name in dataset.channels):
        odd = tuple(f.case_id for f in facts if f.low != f.high and (f.low >= 0 or f.high < _TISSUE_HU))
        if odd:
            yield Finding(
                "intensity", "warning", f"{_count(odd, facts)} are not in HU, though the channel is CT", odd
            )
    if not dataset.is_volumetric:
        dark = tuple(f.case_id for f in facts if 0 < f.high - f.low < _MIN_RANGE)
        if dark:
            text = (
                f"{_count(dark, facts)} use less than 1/64 of their range; train with --set data.intensity=zscore"
            )
            yield Finding("intensity", "warning", text, dark)


def _labels(facts: Sequence[CaseFacts], dataset: Dataset) -> Iterator[Finding]:
    masked = [f for f in facts if f.label_voxels]
    empty = tuple(f.case_id for f in masked if not f.label_voxels.keys() - {0})
    if empty:
        yield Finding("labels", "warning", f"{_count(empty, masked)} have an empty mask", empty)
    for label, name in dataset.classes.items():
        having = [f for f in masked if f.label_voxels.get(label)]
        if label and masked and not having:
            yield Finding("labels", "warning", f"class {label} ({name}) is in no mask")
        elif label and masked and not any(f.part == "training" for f in having):
            yield Finding("labels", "error", f"class {label} ({name}) is in no training mask")


def _ambiguous(facts: Sequence[CaseFacts], dataset: Dataset) -> Iterator[Finding]:
    soft = [f for f in facts if f.ambiguous_pixels > _MAX_AMBIGUOUS * np.prod(f.shape)]
    if soft:
        total = sum(f.ambiguous_pixels for f in facts)
        yield Finding(
            "ambiguous pixels",
            "warning",
            f"{_count(soft, facts)} have masks with soft edges: {total} pixels in all were given to the nearer class",
            tuple(f.case_id for f in soft),
        )


def _anatomy(facts: Sequence[CaseFacts], dataset: Dataset) -> Iterator[Finding]:
    volumes: dict[int, float] = defaultdict(float)
    for fact in facts:
        for label, count in fact.label_voxels.items():
            volumes[label] += count * float(np.prod(fact.spacing_mm)) / 1000
    try:
        require_liver_largest(volumes, dataset.classes, "anatomy")
    except DataError as err:
        yield Finding("anatomy", "error", str(err))
    ids = {name.lower(): label for label, name in dataset.classes.items()}
    left, right = ids.get("left kidney"), ids.get("right kidney")
    if left is None or right is None:
        return
    swapped = tuple(
        f.case_id
        for f in facts
        if {left, right} <= f.centroids_mm.keys()
        and f.centroids_mm[left][0] > f.centroids_mm[right][0]  # x grows to the patient's right
    )
    if swapped:
        yield Finding(
            "anatomy",
            "error",
            f"{_count(swapped, facts)} have the left kidney on the right side: swapped labels or a flipped image",
            swapped,
        )


def _duplicates(facts: Sequence[CaseFacts], dataset: Dataset) -> Iterator[Finding]:
    same: dict[str, list[CaseFacts]] = defaultdict(list)
    for fact in facts:
        same[fact.pixels_sha256].append(fact)
    groups = [group for group in same.values() if len(group) > 1]
    fold_sides = [(set(fold.train), set(fold.val)) for fold in dataset.folds]
    for group in groups:
        names = tuple(f.case_id for f in group)
        crossing = len({f.part for f in group}) > 1 or any(
            set(names) & train and set(names) & val for train, val in fold_sides
        )
        where = ", on both sides of a split" if crossing else ""
        text = f"{len(group)} cases have the same pixels{where}"
        yield Finding("duplicates", "error" if crossing else "warning", text, names)


def _splits(facts: Sequence[CaseFacts], dataset: Dataset) -> Iterator[Finding]:
    for split, count in crossing_units(dataset).items():
        yield Finding("split", "error", f"{count} patients or sequences are on both sides of {split}")


def _changed(facts: Sequence[CaseFacts], dataset: Dataset) -> Iterator[Finding]:
    root = dataset.root
    manifest = read_manifest(root)
    if manifest is None:
        return
    if changed := changed_files(root, manifest):
        shown = ", ".join(changed[:_SHOWN])
        yield Finding(
            "hashes", "error", f"{len(changed)} files are missing or changed since they were prepared: {shown}"
        )
    if manifest.excluded:
        names = tuple(manifest.excluded)
        yield Finding("readable", "warning", f"{len(names)} cases were left out when the set was prepared", names)


def _count(names: Sequence[object], of: Sequence[object]) -> str:
    return f"{len(names)} of {len(of)} cases"


CHECKS: tuple[Callable[[Sequence[CaseFacts], Dataset], Iterator[Finding]], ...] = (
    _sizes,
    _spacing,
    _orientation,
    _intensities,
    _labels,
    _ambiguous,
    _anatomy,
    _duplicates,
    _splits,
    _changed,
)
