"""Checks of the clothing regions: readable, of known label ids, not empty, not inverted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .._shared.errors import DataError
from .._shared.io.images import read_mask
from ..data.sample import Dataset, Sample, clothing_mask, parse_mask
from .findings import Finding, listed

_THREADS = 4
_LOOKED_AT = 32  # for the polarity, which is one thing of a whole data set


def check_masks(dataset: Dataset) -> Iterator[Finding]:
    """Make every region once, as the evaluation will."""
    rows = [s for s in dataset.samples if s.parse is not None or s.agnostic_mask is not None]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(zip(rows, pool.map(_region, rows), strict=True))
    problems: dict[str, list[str]] = {}
    for sample, verdict in found:
        if isinstance(verdict, str):
            problems.setdefault(verdict, []).append(sample.pair_id)
    for problem, pair_ids in problems.items():
        yield Finding("error", "region", f"masks: {problem}", pair_ids=tuple(pair_ids))
    empty = [sample.pair_id for sample, verdict in found if verdict is False]
    if empty:
        yield Finding(
            "warning",
            "empty_region",
            f"{len(empty)} photos show no garment of their category in the parse ({listed(empty)}); metrics of the "
            "clothing are undefined there",
            pair_ids=tuple(empty),
        )
    yield from _polarity(rows)


def _region(sample: Sample) -> bool | str:
    """True for a region with something in it, False for an empty one, or why there is none."""
    try:
        return bool(clothing_mask(sample).any())
    except DataError as err:
        return str(err)


def _polarity(rows: Sequence[Sample]) -> Iterator[Finding]:
    """White means "repaint" in VITON-HD's masks and "keep" in Paint-by-Example's."""
    both = [s for s in rows if s.parse is not None and s.agnostic_mask is not None]
    chosen = [
        both[i] for i in sorted({round(x) for x in np.linspace(0, len(both) - 1, min(_LOOKED_AT, len(both)))})
    ]
    shares = []
    for sample in chosen:
        try:
            worn = parse_mask(sample)
            repaint = read_mask(sample.agnostic_mask, binary=True).array.astype(bool)
        except DataError:
            continue  # reported above
        if worn.any() and worn.shape == repaint.shape:
            shares.append(float(repaint[worn].mean()))
    if shares and np.median(shares) < 0.5:
        yield Finding(
            "error",
            "mask_polarity",
            f"agnostic masks are black where the garment is (median {100 * np.median(shares):.0f} % of it is white); "
            "white must mean repaint, invert them",
        )
