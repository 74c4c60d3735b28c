"""All checks of a data set and of the results of several methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..data.sample import Dataset
from .findings import Finding
from .images import check_images
from .lists import check_list
from .masks import check_masks
from .pixels import check_pixels
from .references import check_references
from .results import check_results
from .survey import look_at

_ORDER = {"error": 0, "warning": 1, "info": 2}


def check(dataset: Dataset, predictions: Mapping[str, Mapping[str, Path]] | None = None) -> list[Finding]:
    """Look at every image once and say what is wrong, errors first. Nothing is raised for a damaged file.

    Args:
        dataset: an opened pair list.
        predictions: method -> pair id -> result; none: the data set only.

    Returns:
        Findings; `findings.require_sound` turns errors into a refusal.
    """
    methods = predictions or {}
    samples = dataset.samples
    photos = {s.pair_id: s.reference for s in samples if s.reference is not None}
    garments = {s.pair_id: s.garment for s in samples}
    results = [path for found in methods.values() for path in found.values()]
    looked = look_at([*photos.values(), *garments.values(), *results])

    def findings() -> Iterator[Finding]:
        yield from check_list(dataset)
        yield from check_images("photos", {p: looked[path] for p, path in photos.items()}, "data")
        yield from check_images("garments", {p: looked[path] for p, path in garments.items()}, "data")
        yield from check_references(dataset, looked)
        yield from check_masks(dataset)
        for name, found in methods.items():
            yield from check_images("results", {p: looked[path] for p, path in found.items()}, name)
            yield from check_results(name, dataset, found, looked)
            yield from check_pixels(name, dataset, found)

    return sorted(findings(), key=lambda finding: _ORDER[finding.level])
