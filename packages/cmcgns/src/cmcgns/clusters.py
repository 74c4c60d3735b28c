"""What a model takes for the same finding: clusters of sentences, shown by their nearest members."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch

from ._shared.errors import DataError
from ._shared.logs import progress
from .cluster import assign, kmeans
from .data.pairs import PairDataset
from .encoders import Encoder


@dataclass(frozen=True)
class SentenceCluster:
    """A cluster of sentences.

    Attributes:
        number: of the centre.
        sentences: members.
        reports: how many reports they come from.
        cohesion: mean cosine of the members with the centre.
        nearest: the nearest different texts with their cosine, nearest first.
    """

    number: int
    sentences: int
    reports: int
    cohesion: float
    nearest: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class SentenceClusters:
    """All clusters, largest first.

    Attributes:
        clusters: those with members.
        empty: centres without.
        n: sentences.
        report_share: mean over clusters of the share of their largest report: near 1 where clusters are reports and
            not findings (defect D14).
    """

    clusters: tuple[SentenceCluster, ...]
    empty: int
    n: int
    report_share: float

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {
            "n": self.n,
            "empty": self.empty,
            "report_share": self.report_share,
            "clusters": [vars(cluster) for cluster in self.clusters],
        }


def sentence_clusters(
    encoder: Encoder,
    dataset: PairDataset,
    *,
    k: int = 32,
    show: int = 5,
    seed: int = 0,
    batch_size: int = 64,
    quiet: bool = True,
) -> SentenceClusters:
    """Cluster the sentences of all reports by spherical k-means (k-means++, 20 Lloyd iterations).

    Args:
        encoder: the model.
        dataset: reports.
        k: centres; fewer where there are fewer sentences.
        show: texts shown per centre.
        seed: of the k-means.
        batch_size: reports per forward pass.
        quiet: no progress.

    Raises:
        DataError: fewer than two sentences.
    """
    from .sentences import split_sentences

    reports = [pair.report for pair in dataset if split_sentences(pair.report)]
    texts, owners, vectors = [], [], []
    with progress(len(reports), "encoding reports", quiet=quiet) as bar:
        for start in range(0, len(reports), batch_size):
            batch = reports[start : start + batch_size]
            found = encoder.encode_text(batch).sentences
            for i, rows in enumerate(found.split()):
                sentences = split_sentences(batch[i])[: len(rows)]
                texts += sentences
                owners += [start + i] * len(sentences)
                vectors.append(rows[: len(sentences)].cpu())
            bar.update(len(batch))
    if len(texts) < 2:
        raise DataError(f"{dataset.name}: {len(texts)} sentences; clusters need two")
    points = torch.cat(vectors)
    k = min(k, len(texts))
    centres = kmeans(points, k, iters=20, generator=torch.Generator().manual_seed(seed))
    labels = assign(points, centres)
    cosines = torch.nn.functional.normalize(points, dim=-1) @ torch.nn.functional.normalize(centres, dim=-1).T
    clusters, shares = [], []
    for number in labels.unique().tolist():
        members = (labels == number).nonzero().flatten().tolist()
        near = sorted(((texts[i], float(cosines[i, number])) for i in members), key=lambda row: -row[1])
        counts = Counter(owners[i] for i in members)
        shares.append(max(counts.values()) / len(members))
        distinct = tuple({text: (text, value) for text, value in reversed(near)}.values())[::-1][:show]
        cohesion = float(cosines[members, number].mean())
        clusters.append(SentenceCluster(number, len(members), len(counts), cohesion, distinct))
    clusters.sort(key=lambda cluster: -cluster.sentences)
    return SentenceClusters(tuple(clusters), k - len(clusters), len(texts), sum(shares) / len(shares))
