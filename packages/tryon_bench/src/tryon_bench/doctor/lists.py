"""Checks of the pair list: its meaning (row 3) and self pairs (row 4)."""

from __future__ import annotations

from collections.abc import Iterator

from ..data.sample import Dataset
from .findings import Finding, listed


def check_list(dataset: Dataset) -> Iterator[Finding]:
    """What the list itself tells, without any image."""
    worn = [s.pair_id for s in dataset.samples if s.self_pair]
    n = len(dataset.samples)
    yield Finding(
        "info", "counts", f"{n} {dataset.setting} pairs of {dataset.pairs}, list hash {dataset.list_hash}"
    )
    if dataset.setting == "paired" and len(worn) < n:
        other = [s.pair_id for s in dataset.samples if not s.self_pair]
        yield Finding(
            "error",
            "list_meaning",
            f"{len(other)} of {n} paired rows put on another garment than the worn one ({listed(other)}); they have no "
            "target, use the unpaired setting or the paired list",
            3,
            pair_ids=tuple(other),
        )
    if dataset.setting == "unpaired" and 2 * len(worn) > n:
        yield Finding(
            "error",
            "list_meaning",
            f"{len(worn)} of {n} unpaired rows put the worn garment on; this is a paired list, give the unpaired one",
            3,
            pair_ids=tuple(worn),
        )
    elif dataset.setting == "unpaired" and worn:
        yield Finding(
            "warning",
            "self_pairs",
            f"{len(worn)} of {n} unpaired rows are self pairs ({listed(worn)}); the target leaks into the results, "
            "protocols exclude them unless they say otherwise",
            4,
            pair_ids=tuple(worn),
        )
