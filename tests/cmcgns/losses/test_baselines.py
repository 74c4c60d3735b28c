"""Losses of the compared methods against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from cmcgns.losses import (
    convirt_loss,
    gloria_scores,
    info_nce,
    patch_pixels,
    prototype_loss,
    reconstruction_loss,
    score_contrast,
    within_pair_contrast,
)
from cmcgns.losses.baselines import _sinkhorn
from cmcgns.ragged import Ragged

COUNTS = torch.tensor([2, 1, 4])


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def test_info_nce_is_symmetric_and_shares_add_up() -> None:
    a, b = unit(6, 8), unit(6, 8, seed=1)
    torch.testing.assert_close(info_nce(a, b, 5.0), info_nce(b, a, 5.0))
    shares = info_nce(a, b, 5.0, rows=torch.tensor([0, 4])) + info_nce(a, b, 5.0, rows=torch.tensor([1, 2, 3, 5]))
    torch.testing.assert_close(shares, info_nce(a, b, 5.0))


def test_convirt_weights_its_directions() -> None:
    a, b = unit(5, 8), unit(5, 8, seed=1)
    logits, target = a @ b.T / 0.1, torch.arange(5)
    expected = 0.75 * F.cross_entropy(logits, target) + 0.25 * F.cross_entropy(logits.T, target)
    torch.testing.assert_close(convirt_loss(a, b), expected)


def test_gloria_scores_of_all_images_with_all_reports() -> None:
    patches, rows = unit(3, 5, 8), unit(int(COUNTS.sum()), 8, seed=1)
    got = gloria_scores(patches, Ragged(rows, COUNTS))
    for i, cells in enumerate(patches):
        for j, report in enumerate(rows.split(COUNTS.tolist())):
            total = 0.0
            for s in report:
                seen = torch.softmax(4 * cells @ s, 0) @ cells
                total += math.exp(5 * float(F.cosine_similarity(seen, s, dim=0)))
            assert float(got[i, j]) == pytest.approx(math.log(total), abs=1e-9)


def test_score_contrast_averages_both_directions() -> None:
    scores = torch.randn(4, 4)
    target = torch.arange(4)
    expected = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
    torch.testing.assert_close(score_contrast(scores), expected)


def test_contrast_within_a_pair_never_looks_at_other_pairs() -> None:
    own, other = unit(7, 8), unit(7, 8, seed=1)
    got = within_pair_contrast(Ragged(own, COUNTS), other, 10.0)
    for i, (a, b) in enumerate(zip(own.split(COUNTS.tolist()), other.split(COUNTS.tolist()), strict=True)):
        torch.testing.assert_close(got[i], info_nce(a, b, 10.0))


def test_sinkhorn_gives_rows_that_sum_to_one_and_even_columns() -> None:
    logits = 5 * unit(8, 6) @ unit(4, 6, seed=1).T
    plan = _sinkhorn(logits)
    torch.testing.assert_close(plan.sum(1), torch.ones(8, dtype=torch.float64))
    assert (plan.sum(0) - 2).abs().max() < 0.5 * (logits.softmax(1).sum(0) - 2).abs().max()


def test_prototypes_learn_and_agreeing_sides_have_the_lower_loss() -> None:
    a, prototypes = unit(16, 8), unit(6, 8, seed=1).requires_grad_()
    same, mixed = prototype_loss(a, a, prototypes), prototype_loss(a, a[torch.randperm(16)], prototypes)
    assert same < mixed
    mixed.backward()
    assert prototypes.grad.abs().sum() > 0


def test_patch_pixels_come_in_the_order_of_the_grid_and_can_be_normalised() -> None:
    images = torch.arange(64.0).reshape(1, 1, 8, 8).expand(1, 3, 8, 8)
    pixels = patch_pixels(images, (4, 2))
    assert pixels.shape == (1, 8, 8)
    assert pixels[0, 3].tolist() == [20, 21, 22, 23, 28, 29, 30, 31]  # row 1, column 1: pixel rows 2 and 3
    normalised = patch_pixels(images, (4, 2), "normalised")
    torch.testing.assert_close(normalised.mean(-1), torch.zeros(1, 8), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.std(-1), torch.ones(1, 8), atol=1e-4, rtol=0)


def test_reconstruction_loss_of_all_patches_differs_from_that_of_the_hidden() -> None:
    predicted, target = torch.zeros(1, 4, 2), torch.arange(8.0).reshape(1, 4, 2)
    mask = torch.tensor([[False, True, False, True]])
    assert float(reconstruction_loss(predicted, target, mask)) == (2 + 3 + 6 + 7) / 4
    assert float(reconstruction_loss(predicted, target, mask, "all")) == 3.5
