"""Contrast of images for one sentence: against plain loops, and against the shortcut that it closes."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from cmcgns._shared.errors import DataError
from cmcgns.layers import CrossModalAttention
from cmcgns.losses import image_contrast, report_loss
from cmcgns.ragged import Ragged

OWNERS = torch.tensor([0, 0, 1, 2, 2])
GROUPS = torch.tensor([7, 3, 7, 4, 3])


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_it_is_the_equation(groups) -> None:
    scores, scale, total = torch.rand(3, 5, dtype=torch.float64), 9.0, 0.0
    for n, owner in enumerate(OWNERS.tolist()):
        kept = [owner]
        for i in set(range(3)) - {owner}:
            same = groups is not None and any(groups[m] == groups[n] for m in range(5) if OWNERS[m] == i)
            kept += [] if same else [i]
        total += math.log(sum(math.exp(scale * scores[i, n]) for i in kept)) - scale * float(scores[owner, n])
    torch.testing.assert_close(float(image_contrast(scores, OWNERS, scale, groups)), total / 5)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected scores \(B, N\), .* got \(3, 5\), \(4,\) and None"):
        image_contrast(torch.rand(3, 5), OWNERS[:4])


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_agreement_in_the_own_image_is_that_of_the_attention_inside_pairs(kind) -> None:
    torch.manual_seed(0)
    attention = CrossModalAttention(16, kind).double()
    patches, sentences = unit(3, 6, 16), Ragged(unit(5, 16, seed=1), torch.tensor([2, 1, 2]))
    own = F.cosine_similarity(attention(patches, sentences)[1], sentences.values, dim=-1)
    whole, pieces = (attention.agreement(patches, sentences.values, chunk=size) for size in (8, 2))
    torch.testing.assert_close(whole[sentences.owners(), torch.arange(5)], own)
    torch.testing.assert_close(pieces, whole)


def test_patches_that_are_the_same_in_every_image_cost_what_guessing_costs() -> None:
    """The contrast of sentences is content with them: each sentence finds its own code anywhere, in any image."""
    codes = torch.eye(16, dtype=torch.float64)
    sentences, images = Ragged(codes[:12], torch.full((4,), 3)), codes.expand(4, -1, -1)
    attention = CrossModalAttention(16).double()
    with torch.no_grad():
        _, seen = attention(images, sentences)
        inside = report_loss(sentences.values, seen, None, temperature=0.1)
        across = image_contrast(attention.agreement(images, sentences.values), sentences.owners(), 10.0)
    assert inside < 0.01
    assert float(across) == pytest.approx(math.log(4))
