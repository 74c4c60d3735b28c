"""Ragged rows, and their order when several processes share them."""

from __future__ import annotations

import torch

from cmcgns.gather import _canonical_order, gather_ragged, gather_rows
from cmcgns.ragged import Ragged, segment_mean


def test_padding_keeps_rows_gradients_and_places() -> None:
    values, counts = torch.randn(6, 3, requires_grad=True), torch.tensor([2, 1, 3])
    rows = Ragged(values, counts)
    padded, mask = rows.padded()
    assert mask.sum(1).tolist() == counts.tolist()
    assert torch.equal(padded[rows.owners(), rows.places()], values)
    assert padded[~mask].abs().sum() == 0
    padded.sum().backward()
    assert torch.equal(values.grad, torch.ones(6, 3))


def test_segment_means_equal_a_loop() -> None:
    rows, segments = torch.randn(7, 2), torch.tensor([0, 2, 2, 0, 3, 3, 3])
    got = segment_mean(rows, segments, 5)
    for segment in range(5):
        members = rows[segments == segment]
        expected = members.mean(0) if len(members) else torch.zeros(2)
        torch.testing.assert_close(got[segment], expected)


def test_rows_of_several_ranks_come_in_the_order_of_the_global_batch() -> None:
    # rank 0 has samples 0, 2 (1 and 3 sentences), rank 1 samples 1, 3 (2 and 1)
    by_rank = torch.tensor([[1, 3], [2, 1]])
    rank0, rank1 = ["0a", "2a", "2b", "2c"], ["1a", "1b", "3a", "pad"]
    flat = rank0 + rank1
    assert [flat[i] for i in _canonical_order(by_rank, 4).tolist()] == ["0a", "1a", "1b", "2a", "2b", "2c", "3a"]


def test_one_process_gathers_nothing() -> None:
    rows = Ragged(torch.randn(3, 2), torch.tensor([1, 2]))
    (whole,), mine = gather_ragged(rows)
    assert whole is rows
    assert mine.tolist() == [0, 1, 2]
    assert gather_rows(rows.values) is rows.values
