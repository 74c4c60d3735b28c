"""Recall of image-report retrieval that knows that reports repeat."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, nan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._shared.errors import DataError


def text_groups(texts: Sequence[str]) -> NDArray[np.int64]:
    """Number equal texts equally, whatever their case and white space.

    Example:
        >>> text_groups(["No effusion.", "Clear lungs.", "no  effusion."]).tolist()
        [0, 1, 0]
    """
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(" ".join(t.lower().split()), len(numbers)) for t in texts], np.int64)


def best_ranks(
    queries: Tensor,
    gallery: Tensor,
    query_groups: NDArray[np.int64],
    gallery_groups: NDArray[np.int64],
    *,
    chunk: int = 1024,
) -> NDArray[np.int64]:
    """Rank, from 1, of the best gallery item of each query's own group; 0 where the gallery has none.

    Items of another group that score the same count as better, so a constant embedding finds nothing. A query is
    compared with the whole gallery, `chunk` queries at a time: memory is chunk x gallery.

    Args:
        queries: (n, D) unit vectors.
        gallery: (m, D) unit vectors.
        query_groups: (n,) which items are right for each query.
        gallery_groups: (m,) the group of each item.
        chunk: queries at a time.

    Raises:
        DataError: lengths or widths that do not belong together.
    """
    if (
        queries.shape[1:] != gallery.shape[1:]
        or len(queries) != len(query_groups)
        or len(gallery) != len(gallery_groups)
    ):
        raise DataError(
            f"expected (n, D) and (m, D) with one group per row, got {tuple(queries.shape)}, {tuple(gallery.shape)}, "
            f"{len(query_groups)} and {len(gallery_groups)} groups"
        )
    owners = torch.from_numpy(gallery_groups).to(queries.device)
    wanted = torch.from_numpy(query_groups).to(queries.device)
    ranks = []
    for start in range(0, len(queries), chunk):
        scores = queries[start : start + chunk] @ gallery.T
        right = wanted[start : start + chunk, None] == owners
        best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        ahead = ((scores >= best) & ~right).sum(1) + 1
        ranks.append(torch.where(right.any(1), ahead, 0))
    return torch.cat(ranks).cpu().numpy() if ranks else np.zeros(0, np.int64)


def recall_at_k(ranks: NDArray[np.int64], k: int) -> float:
    """Share of queries whose best right item is among the first `k`; NaN without queries.

    Queries without any right item in the gallery (rank 0) are left out; count them with `(ranks == 0).sum()`.

    Example:
        >>> recall_at_k(np.array([1, 4, 0, 2]), 2)
        0.6666666666666666
    """
    answerable = ranks[ranks > 0]
    return float((answerable <= k).mean()) if len(answerable) else nan


def chance_recall(query_groups: NDArray[np.int64], gallery_groups: NDArray[np.int64], k: int) -> float:
    """Expected recall@k of a random order: 1 - C(m - r, k) / C(m, k), averaged over the queries' r right items.

    Example:
        >>> chance_recall(np.array([0]), np.array([0, 1, 2, 3]), 2)
        0.5
    """
    m = len(gallery_groups)
    counts = dict(zip(*np.unique(gallery_groups, return_counts=True), strict=True))
    right = [int(counts.get(group, 0)) for group in query_groups]
    k = min(k, m)
    values = [1 - comb(m - r, k) / comb(m, k) for r in right if r]
    return float(np.mean(values)) if values else nan
