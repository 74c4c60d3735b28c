"""Synthetic pairs for the demo: a projected film and real sentences, brought together by label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._shared.logs import progress
from .._shared.order import generator
from ..data.pairs import ABSENT, PRESENT, Pair, PairDataset, Region, Split
from ..synth.projection import FINDINGS, Chest, ProjectedFilm, projected_film
from .sentences import SentenceBank

SHARE_PRESENT = 0.35


def synthetic_pairs(
    chests: Sequence[Chest],
    bank: SentenceBank,
    count: int,
    *,
    split: Split,
    seed: int,
    side_px: int = 96,
    quiet: bool = True,
) -> PairDataset:
    """Films of these CTs in turn, each with up to two planted findings, and a report out of `bank`.

    A film is its own "patient", so that intervals resample films: they say nothing about other people.
    """
    pairs = []
    with progress(count, f"projecting {split} films", quiet=quiet) as bar:
        for index in range(count):
            rng = generator(seed, f"demo-{split}", index)
            names = tuple(str(n) for n in rng.permutation(FINDINGS) if rng.random() < SHARE_PRESENT)[:2]
            film = projected_film(chests[index % len(chests)], names, rng, side_px=side_px)
            pairs.append(_pair(film, bank, f"{split} film {index}", split, rng))
            bar.update()
    return PairDataset("projected", tuple(pairs), FINDINGS)


def permuted_captions(dataset: PairDataset, seed: int) -> PairDataset:
    """The same films with each other's reports: whatever is learned from them is no relation of film and text."""
    from dataclasses import replace

    order = generator(seed, "permuted").permutation(len(dataset))
    pairs = (replace(p, report=dataset[int(i)].report, sections={}) for p, i in zip(dataset, order, strict=True))
    return replace(dataset, pairs=tuple(pairs))


def _pair(film: ProjectedFilm, bank: SentenceBank, name: str, split: Split, rng: np.random.Generator) -> Pair:
    sentences, named = bank.report(film.side, rng)
    regions = []
    for finding, mask in film.findings.items():
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        if len(rows):
            height, width = mask.shape
            box = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
            regions.append(Region(finding, tuple(float(v) for v in box), named[finding]))  # type: ignore[arg-type]
    labels = {finding: PRESENT if finding in film.findings else ABSENT for finding in FINDINGS}
    text = " ".join(sentences)
    return Pair(
        film.image, text, {"findings": text}, name, name, name, labels, tuple(regions), split=split, synthetic=True
    )
