"""Sides of a data set: by patient, never by film; and the official splits that leak, under their own name."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from .._shared.errors import ConfigError, DataError
from .._shared.logs import get_logger
from .._shared.order import generator
from .chexpert import positions_split
from .pairs import Pair, PairDataset, Split

SplitRule = Literal["patients", "official-leaky"]
SIDES: tuple[Split, ...] = ("train", "validation", "test")
log = get_logger(__name__)


def assign_split(
    dataset: PairDataset,
    rule: SplitRule = "patients",
    *,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.15,
    seed: int = 0,
) -> PairDataset:
    """Give every sample a side.

    "patients" keeps the sides that the release brings and completes them by patient: no patient is on two sides. What
    a release lacks (a validation side, or any) is drawn from its training patients, as fractions of all patients.
    "official-leaky" repeats what the published code does with this data set, for comparison with published numbers
    only; a warning says what leaks.

    Raises:
        DataError: the release's own sides share patients; the message counts them.
        ConfigError: the published code has no split of this data set, or the fractions leave no training side.
    """
    if rule == "official-leaky":
        return official_leaky_split(dataset, seed=seed)
    if validation_fraction + test_fraction >= 1:
        raise ConfigError(
            f"validation_fraction {validation_fraction:g} and test_fraction {test_fraction:g} leave no training side"
        )
    require_no_leak(dataset)
    brought = {pair.split for pair in dataset}
    pool = {pair.patient_id for pair in dataset if pair.split in ("train", "")}
    total = len({pair.patient_id for pair in dataset})
    wanted: dict[Split, float] = {
        "validation": 0 if "validation" in brought else validation_fraction,
        "test": 0 if "test" in brought else test_fraction,
    }
    order = [str(p) for p in generator(seed, "split").permutation(sorted(pool))]
    sides: dict[str, Split] = {}
    for side, fraction in wanted.items():
        count = min(round(fraction * total), max(len(order) - 1, 0))
        count = max(count, 1) if fraction > 0 and len(order) > 1 else count
        sides |= dict.fromkeys(order[:count], side)
        order = order[count:]
    pairs = (
        replace(p, split=sides.get(p.patient_id, "train")) if p.split in ("train", "") else p
        for p in dataset.pairs
    )
    return replace(dataset, pairs=tuple(pairs))


def require_no_leak(dataset: PairDataset) -> None:
    """Check that no patient is on two sides.

    Raises:
        DataError: some are; counts, not ids.
    """
    sides: dict[str, set[str]] = {}
    for pair in dataset:
        if pair.split:
            sides.setdefault(pair.patient_id, set()).add(pair.split)
    both = [found for found in sides.values() if len(found) > 1]
    if both:
        which = ", ".join(sorted({" and ".join(sorted(found)) for found in both}))
        raise DataError(
            f"{dataset.name}: {len(both)} of {len(sides)} patients are on two sides ({which}); drop the split "
            "column to have the patients split, or pass --split official-leaky to compare with published numbers"
        )


def official_leaky_split(dataset: PairDataset, *, seed: int = 0) -> PairDataset:
    """The published code's split of MIMIC-CXR, CheXpert or SIIM, with its leaks; warns.

    MIMIC-CXR: test merged into validation and used to choose the model. CheXpert: validation rows chosen by position
    and removed by label (`positions_split`). SIIM: by annotation row, so a film with several rows can be on
    several sides. The random numbers are ours: the mechanism is the published one, the rows are not.

    Raises:
        ConfigError: another data set.
    """
    if dataset.name == "mimic-cxr":
        log.warning("official-leaky: the test side of MIMIC-CXR is used for model selection; no test side is left")
        pairs = (replace(p, split="validation") if p.split == "test" else p for p in dataset)
        return replace(dataset, pairs=tuple(pairs))
    if dataset.name == "chexpert":
        log.warning(
            "official-leaky: most validation films of CheXpert are also training films; scores are inflated"
        )
        return _chexpert_by_position(dataset, seed)
    if dataset.name == "siim":
        log.warning(
            "official-leaky: SIIM is split by annotation row; films are on several sides, scores are inflated"
        )
        return _siim_by_row(dataset, seed)
    raise ConfigError(
        f"official-leaky is for mimic-cxr, chexpert and siim; {dataset.name} is split by patients only"
    )


def fraction_of(indices: list[int], fraction: float, seed: int) -> list[int]:
    """A share of training samples, at least one, nested: 1 % is part of 10 % of the same seed."""
    count = max(1, round(fraction * len(indices)))
    order = generator(seed, "fraction").permutation(len(indices))
    return sorted(indices[int(i)] for i in order[:count])


def _chexpert_by_position(dataset: PairDataset, seed: int) -> PairDataset:
    training = [pair for pair in dataset if pair.split == "train"]
    count = len(training)
    rows = positions_split(
        count, held_out=round(count * 1000 / 191_027), validation=max(1, count * 5000 // 191_027)
    )
    chosen = [replace(training[i], split="train") for i in rows["train"]]
    chosen += [replace(training[i], split="validation") for i in rows["validation"]]
    return replace(dataset, pairs=(*chosen, *(pair for pair in dataset if pair.split == "test")))


def _siim_by_row(dataset: PairDataset, seed: int) -> PairDataset:
    rows = [pair for pair in dataset for _ in range(_row_count(pair))]
    drawn = generator(seed, "siim-rows").choice(3, len(rows), p=[0.7, 0.15, 0.15])
    seen: dict[tuple[str, Split], Pair] = {}
    for pair, side in zip(rows, np.array(SIDES)[drawn], strict=True):
        seen[pair.sample_id, str(side)] = replace(pair, split=str(side))  # type: ignore[index,arg-type]  # of SIDES
    return replace(dataset, pairs=tuple(seen.values()))


def _row_count(pair: Pair) -> int:
    return max(1, len(getattr(pair.mask, "rows", ())))
