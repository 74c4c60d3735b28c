"""Recall against a brute-force loop, with repeated reports and ties."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmcgns._shared.errors import DataError
from cmcgns.metrics.retrieval import best_ranks, chance_recall, recall_at_k, text_groups


def loop_rank(scores: list[float], right: list[bool]) -> int:
    """Pessimistic rank of the best right item."""
    if not any(right):
        return 0
    best = max(s for s, r in zip(scores, right, strict=True) if r)
    return 1 + sum(s >= best and not r for s, r in zip(scores, right, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10_000), st.sampled_from([1, 3, 100]))
def test_ranks_equal_a_loop_whatever_the_chunk(n: int, m: int, seed: int, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = (torch.from_numpy(rng.integers(-1, 2, (k, 2)).astype(np.float32)) for k in (n, m))
    mine, theirs = rng.integers(0, 3, n), rng.integers(0, 3, m)
    scores = (queries @ gallery.T).tolist()
    expected = [loop_rank(scores[i], (theirs == mine[i]).tolist()) for i in range(n)]
    assert best_ranks(queries, gallery, mine, theirs, chunk=chunk).tolist() == expected


def test_a_constant_embedding_finds_nothing() -> None:
    ones, groups = torch.ones(5, 3), np.arange(5)
    assert recall_at_k(best_ranks(ones, ones, groups, groups), 4) == 0


def test_an_equal_report_of_another_film_is_right_only_when_duplicates_count() -> None:
    images = torch.eye(3)
    texts = images[[1, 0, 2]]  # films 0 and 1 are answered by each other's report
    same = text_groups(["Clear lungs.", "clear  lungs.", "Edema."])
    assert recall_at_k(best_ranks(images, texts, same, same), 1) == 1
    alone = np.arange(3)
    assert recall_at_k(best_ranks(images, texts, alone, alone), 1) == pytest.approx(1 / 3)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_chance_equals_a_simulation(k: int) -> None:
    rng = np.random.default_rng(0)
    groups = np.array([0, 0, 1, 2, 2, 2])
    hits = [(groups[rng.permutation(6)[:k]] == groups[q]).any() for _ in range(4000) for q in range(6)]
    assert chance_recall(groups, groups, k) == pytest.approx(np.mean(hits), abs=0.015)


def test_queries_without_an_answer_do_not_count() -> None:
    assert recall_at_k(np.array([0, 0, 1]), 1) == 1
    assert isnan(recall_at_k(np.array([0]), 1))


def test_lengths_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(DataError, match="one group per row"):
        best_ranks(torch.eye(3), torch.eye(3), np.arange(2), np.arange(3))
