"""The package against the independent loop reference `reference_official.py`, in float64, to 1e-6 or better."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from tests.cmcgns import reference_decoders
from tests.cmcgns import reference_official as ref
from torch import nn

from cmcgns import losses, official
from cmcgns.cluster.kmeans import farthest_chain
from cmcgns.layers import CrossModalAttention, Predictor, ReportPooling, sentence_means
from cmcgns.losses import bml, info_nce, patch_loss, report_loss
from cmcgns.ragged import Ragged

COUNTS = torch.tensor([3, 1, 5, 2])
TOLERANCE = {"rtol": 0, "atol": 1e-9}


def rows(count: int, width: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return dict(module.double().named_parameters())


def assert_equal_with_gradients(ours, theirs, inputs) -> None:
    torch.testing.assert_close(ours, theirs, **TOLERANCE)
    for a, b in zip(torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs), strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)


@pytest.fixture
def sentences():
    """Sentences that lie around six directions, and loosely matching counterparts: some clusters hold several."""
    centres = rows(6, seed=3)
    z1 = centres[torch.arange(20) % 6] + 0.3 * rows(20, seed=1)
    return z1.requires_grad_(), (z1.detach() + 1.5 * rows(20, seed=2)).requires_grad_(), centres


def test_global_loss() -> None:
    a, b = (rows(7, seed=s).requires_grad_() for s in (1, 2))
    assert_equal_with_gradients(
        info_nce(a, b, 10.0), ref.global_loss(ref.unit_rows(a), ref.unit_rows(b), 10.0), [a, b]
    )


def test_sentence_means_and_report_pooling() -> None:
    tokens, ids = rows(2 * 9, seed=1).reshape(2, 9, 24), torch.full((2, 9), -1)
    ids[0, 1:4], ids[0, 4:8], ids[1, 1:6] = 0, 1, 0
    ours = sentence_means(tokens, ids)
    theirs = [ref.sentence_gather(t, torch.where(i < 0, i, i + 1)) for t, i in zip(tokens, ids, strict=True)]
    torch.testing.assert_close(ours.values, torch.cat(theirs), **TOLERANCE)
    pooling = ReportPooling(24, heads=8, unit_mean=False).double()
    expected = torch.stack([ref.pool_report(part, weights(pooling.attention)) for part in theirs])
    torch.testing.assert_close(F.normalize(pooling(ours), dim=-1), expected, **TOLERANCE)


@pytest.mark.parametrize("bias", [True, False])
def test_sigmoid_cross_attention_over_ragged_reports(bias) -> None:
    attention = CrossModalAttention(24, "sigmoid", bias=bias).double()
    patches = rows(4 * 6, seed=1).reshape(4, 6, 24).requires_grad_()
    texts = rows(int(COUNTS.sum()), seed=2).requires_grad_()
    to_patches, to_sentences = attention(patches, Ragged(texts, COUNTS))
    pairs = [
        ref.cross_attention(p, s, weights(attention))
        for p, s in zip(patches, texts.split(COUNTS.tolist()), strict=True)
    ]
    expected_patches, expected_sentences = torch.stack([p for p, _ in pairs]), torch.cat([s for _, s in pairs])
    torch.testing.assert_close(to_sentences, expected_sentences, **TOLERANCE)
    ours, theirs = (to_patches**2).sum() + to_sentences.sin().sum(), (expected_patches**2).sum()
    assert_equal_with_gradients(ours, theirs + expected_sentences.sin().sum(), [patches, texts])


def test_patch_loss() -> None:
    own, other = (rows(10, seed=s).reshape(2, 5, 24).requires_grad_() for s in (1, 2))
    predictor = Predictor(24).double()
    assert_equal_with_gradients(
        patch_loss(own, other, predictor), ref.patch_loss(own, other, weights(predictor)), [own, other]
    )


@pytest.mark.parametrize("chunk", [512, 7])
def test_official_report_loss_with_its_margin_term(sentences, chunk, monkeypatch) -> None:
    monkeypatch.setattr("cmcgns.losses.rows.sum_over_rows.__defaults__", (chunk,))
    z1, z2, centres = sentences
    ours = report_loss(z1, z2, centres, variant="official", false_negatives="bml")
    assert_equal_with_gradients(ours, ref.official_report_loss(z1, z2, centres), [z1, z2])


def test_official_report_loss_without_margin_term_is_the_closed_form(sentences) -> None:
    z1, z2, centres = sentences
    hard = ref.hard_negatives(z1, centres)
    ours = report_loss(z1, z2, centres, variant="official")
    assert_equal_with_gradients(ours, ref.official_contrastive_loss(z1, z2, hard), [z1, z2])


@pytest.mark.parametrize("temperature", [1.0, 0.07])
@pytest.mark.parametrize("mode", ["keep", "exclude"])
@pytest.mark.parametrize("hard_weight", [3.0, 0.5])
def test_paper_report_loss(sentences, temperature, mode, hard_weight) -> None:
    z1, z2, centres = sentences
    hard, twins = ref.hard_negatives(z1, centres), ref.false_negative_mask(z1, centres)
    theirs = ref.paper_contrastive_loss(
        z1, z2, hard, temperature, hard_weight, excluded=twins if mode == "exclude" else None
    )
    ours = report_loss(z1, z2, centres, hard_weight=hard_weight, temperature=temperature, false_negatives=mode)
    assert_equal_with_gradients(ours, theirs, [z1, z2])


def test_report_loss_before_the_clusters_start(sentences) -> None:
    z1, z2, _ = sentences
    assert_equal_with_gradients(
        report_loss(z1, z2, None, temperature=0.1), ref.plain_report_loss(z1, z2, 0.1), [z1, z2]
    )


@pytest.mark.parametrize(
    ("over", "expected"), [("pairs", ref.pair_margin_loss), ("all", ref.official_margin_loss)]
)
def test_margin_loss(sentences, over, expected) -> None:
    z1, z2, centres = sentences
    twins = ref.false_negative_mask(z1, centres)
    ours = bml(z1, z2, twins, over=over)
    assert_equal_with_gradients(ours, expected(ref.cosines(z1, z2), twins), [z1, z2])


def test_official_kmeans_over_several_steps() -> None:
    ours = theirs = None
    z2 = rows(30, seed=2)
    for step in range(4):
        z1 = z2 + 0.5 * rows(30, seed=10 + step)
        loss, ours = official.official_report_step(z1, z2, ours, k=8, first=5)
        expected, theirs = ref.official_report_step(z1, z2, theirs, num_clusters=8, first=5)
        torch.testing.assert_close(loss, expected, **TOLERANCE)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, **TOLERANCE)
    assert ours is not None


def test_official_seeding_and_drifting_norms() -> None:
    points = rows(12, seed=1)
    torch.testing.assert_close(
        farthest_chain(points, 6, 4), ref.initial_centres(ref.unit_rows(points), 6, 4), **TOLERANCE
    )
    centres = rows(3, seed=2)
    torch.testing.assert_close(
        official.update_centroids(points, centres, 0.1), ref.updated_centres(ref.unit_rows(points), centres, 0.1)
    )


def test_official_scrambled_patches() -> None:
    features = rows(2 * 6, 12, seed=1).reshape(2, 6, 3, 4)
    expected = torch.stack([ref.scrambled_tokens(one) for one in features])
    torch.testing.assert_close(official.scrambled_patches(features), expected, **TOLERANCE)


def test_official_resnet_decoder() -> None:
    decoder = official.OfficialResNetDecoder(8, widths=(6, 5, 3)).double()
    own, other = (rows(2 * 9, 8, seed=s).reshape(2, 9, 8) for s in (1, 2))
    keep = (rows(2, 8, seed=3) > 0).double()
    torch.testing.assert_close(
        decoder(own, other, keep),
        reference_decoders.resnet_decoder(own, other, keep, weights(decoder)),
        **TOLERANCE,
    )


def test_official_vit_decoder_and_its_loss() -> None:
    decoder = official.OfficialViTDecoder(16, 9, heads=4, hidden=20, widths=(6, 3)).double().eval()
    with torch.no_grad():
        decoder.positions.normal_()
    own, other = (rows(3 * 9, 16, seed=s).reshape(3, 9, 16) for s in (1, 2))
    keep = (rows(3, 9, seed=3) > 0).double()
    ours = decoder(own, other, keep)
    theirs = reference_decoders.vit_decoder(own, other, keep, weights(decoder), heads=4)
    torch.testing.assert_close(ours, theirs, **TOLERANCE)
    target = torch.zeros_like(ours)
    torch.testing.assert_close(
        official.official_reconstruction_loss(ours, target),
        reference_decoders.reconstruction_loss(theirs, target),
        **TOLERANCE,
    )


def test_loss_starts_at_log_2n_as_the_specification_measured() -> None:
    z1, z2, centres = (torch.randn(n, 768, generator=torch.Generator().manual_seed(n)) for n in (206, 207, 128))
    loss = losses.report_loss(z1, z2[:206], centres, variant="official")
    assert float(loss) == pytest.approx(math.log(2 * 206), abs=0.03)
