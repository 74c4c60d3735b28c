"""Heads and poolings: definitions, precision, the feasibility bound."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F

from breastmri import CosineHead
from breastmri._shared.errors import ConfigError, DataError
from breastmri.layers import LinearHead, Pool
from breastmri.losses import CMSLoss


def direct_head(features, tasks=1):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CosineHead(features, tasks, embed_dim=None)


def test_cosines_are_those_of_torch():
    head, x = CosineHead(6, num_tasks=3).double(), torch.randn(5, 6, dtype=torch.float64)
    expected = F.cosine_similarity(F.linear(x, head.embed.weight)[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(x), expected)
    assert head(x).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_are_computed_in_float32_also_inside_autocast(dtype):
    head, x = CosineHead(512), 300 * torch.rand(4, 512)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cosines = head(x.to(dtype))
    assert cosines.dtype == torch.float32
    torch.testing.assert_close(cosines, head(x.to(dtype).float()), atol=1e-6, rtol=0)


def test_a_feature_of_zero_has_cosine_zero_and_a_finite_gradient():
    head, x = CosineHead(4), torch.zeros(2, 4, requires_grad=True)
    head(x).sum().backward()
    assert head(x).abs().max() == 0
    assert bool(x.grad.isfinite().all())


def test_the_loss_never_changes_the_norms_directly():
    head, x = direct_head(8), torch.rand(16, 8, requires_grad=True)
    CMSLoss()(head(x), torch.randint(0, 2, (16,))).backward()
    assert (x.grad * x).sum(1).abs().max() < 1e-6
    assert (head.weight.grad * head.weight).sum().abs() < 1e-6


def test_without_embedding_the_user_is_warned_of_the_bound():
    with pytest.warns(UserWarning, match=r"margins above 0.707 cannot be met"):
        CosineHead(8, embed_dim=None)


def test_non_negative_features_obey_the_bound_and_an_embedding_breaks_it():
    torch.manual_seed(0)
    head = direct_head(16)
    unit = head.weight[0] / head.weight[0].norm()
    best, worst = unit.clamp(min=0).detach(), (-unit).clamp(min=0).detach()
    top, bottom = head(torch.stack([best, worst]))[:, 0].tolist()
    assert top**2 + bottom**2 == pytest.approx(1.0, abs=1e-5)
    random = head(torch.rand(5000, 16) ** 8).detach()
    assert float(random.max()) ** 2 + float(random.min()) ** 2 <= 1
    signed = CosineHead(16)
    with torch.no_grad():
        signed.embed.weight[:, 0], signed.embed.weight[:, 1] = signed.weight[0], -signed.weight[0]
    assert signed(torch.eye(16)[:2])[:, 0].tolist() == pytest.approx([1.0, -1.0])


@pytest.mark.parametrize("head", [CosineHead(6, 2), LinearHead(6, 2), LinearHead(6, 2, embed_dim=4)])
def test_directions_are_the_linear_part_of_the_score(head):
    x, y = torch.randn(3, 6), torch.randn(3, 6)
    if isinstance(head, CosineHead):
        expected = head(x) * head.embedding(x).norm(dim=1, keepdim=True)
        torch.testing.assert_close(x @ head.directions().T, expected)
    else:
        torch.testing.assert_close((x - y) @ head.directions().T, head(x) - head(y))


@pytest.mark.parametrize("kind", ["avg", "topk", "attention"])
def test_weighted_means_say_their_weights(kind):
    pool, a = Pool(kind, 6), torch.rand(2, 6, 3, 4, 5)
    weights = pool.weights(a)
    if weights is None:
        weights = torch.full((2, 1, 60), 1 / 60)
    torch.testing.assert_close((a.flatten(2) * weights).sum(2), pool(a))
    torch.testing.assert_close(weights.sum(2), torch.ones(weights.shape[:2]))


def test_soft_maxima_lie_between_mean_and_maximum():
    a = torch.rand(2, 6, 3, 4, 5)
    for kind in ("gem", "lse", "topk"):
        pooled = Pool(kind, 6)(a)
        assert bool((pooled >= a.flatten(2).mean(2) - 1e-6).all())
        assert bool((pooled <= a.flatten(2).amax(2) + 1e-6).all())


@pytest.mark.parametrize("kind", ["avg", "gem", "lse", "topk", "attention"])
def test_a_constant_map_is_pooled_to_its_value(kind):
    torch.testing.assert_close(Pool(kind, 3)(torch.full((1, 3, 2, 2, 2), 0.7)), torch.full((1, 3), 0.7))


def test_senseless_arguments_are_refused():
    with pytest.raises(ConfigError, match="embed_dim must be at least 1, got 0"):
        CosineHead(4, embed_dim=0)
    with pytest.raises(ConfigError, match="expected a pooling among avg"):
        Pool("max", 4)
    with pytest.raises(ConfigError, match="pooling gem is no weighted mean"):
        Pool("gem", 4).weights(torch.rand(1, 4, 2, 2, 2))
    with pytest.raises(DataError, match=r"expected features \(B, C\)"):
        CosineHead(4)(torch.rand(2, 4, 1))
