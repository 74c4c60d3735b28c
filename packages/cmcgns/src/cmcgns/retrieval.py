"""Retrieval between films and reports, both ways, with repeated reports counted as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ._shared.errors import DataError
from ._shared.metrics.statistics import patient_bootstrap
from .data.pairs import PairDataset
from .encoders import Encoder
from .features import embed_films, embed_texts
from .metrics.retrieval import best_ranks, chance_recall, recall_at_k, text_groups
from .sentences import split_sentences

Duplicates = Literal["text", "study", "none"]


@dataclass(frozen=True)
class Recall:
    """Recall@k of one direction.

    Attributes:
        direction: "image-to-report" or "report-to-image".
        k: how many answers count.
        value, low, high: share of queries with a right answer among them, patient bootstrap interval.
        chance: of a random order, with the same repetitions.
        n: queries.
        gallery: candidates.
    """

    direction: str
    k: int
    value: float
    low: float
    high: float
    chance: float
    n: int
    gallery: int


@dataclass(frozen=True)
class Retrieval:
    """All recalls, and the hits behind them.

    Attributes:
        recalls: every direction and k.
        ranks: direction to the rank of the first right answer of each query.
        groups: how many different reports there are among `n`.
        n: pairs.
    """

    recalls: tuple[Recall, ...]
    ranks: dict[str, NDArray[np.int64]]
    groups: int
    n: int

    def to_json(self) -> dict[str, Any]:
        """The result without the ranks."""
        return {"n": self.n, "different_reports": self.groups, "recalls": [asdict(r) for r in self.recalls]}


def retrieve(
    encoder: Encoder,
    dataset: PairDataset,
    *,
    ks: Sequence[int] = (1, 5, 10),
    duplicates: Duplicates = "text",
    chunk: int = 1024,
    films: Tensor | None = None,
    quiet: bool = True,
) -> Retrieval:
    """Find the report of every film among all reports, and the film of every report among all films.

    Args:
        encoder: the model.
        dataset: pairs; samples without a sentence are left out.
        ks: numbers of answers.
        duplicates: what counts as the same report: equal texts ("text"), texts of one study, or nothing ("none", which
            calls an equal report of another film wrong).
        chunk: queries that are compared at a time.
        films: (n, D) vectors of all the data set's films, if they are there already.
        quiet: no progress.

    Raises:
        DataError: fewer than two pairs, or a film cannot be read.
    """
    places = [i for i, pair in enumerate(dataset) if split_sentences(pair.report)]
    pairs = [dataset[i] for i in places]
    if len(pairs) < 2:
        raise DataError(f"{dataset.name}: {len(pairs)} pairs with a report; retrieval needs two")
    images = embed_films(encoder, pairs, quiet=quiet) if films is None else films[places]
    texts = embed_texts(encoder, [pair.report for pair in pairs], quiet=quiet)
    groups = _groups(duplicates, [p.report for p in pairs], [p.study_id for p in pairs])
    patients = [pair.patient_id for pair in pairs]
    ranks = {
        "image-to-report": best_ranks(images, texts, groups, groups, chunk=chunk),
        "report-to-image": best_ranks(texts, images, groups, groups, chunk=chunk),
    }
    recalls = []
    for direction, found in ranks.items():
        for k in ks:
            hits = (found <= k).astype(float)
            interval = patient_bootstrap(hits, patients, n_resamples=1000)
            chance = chance_recall(groups, groups, k)
            row = (recall_at_k(found, k), interval.low, interval.high, chance)
            recalls.append(Recall(direction, k, *row, len(pairs), len(pairs)))
    return Retrieval(tuple(recalls), ranks, len(set(groups.tolist())), len(pairs))


def _groups(duplicates: Duplicates, texts: list[str], studies: list[str]) -> NDArray[np.int64]:
    if duplicates == "text":
        return text_groups(texts)
    return text_groups(studies) if duplicates == "study" else np.arange(len(texts))
