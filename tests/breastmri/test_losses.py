"""CMSL, its family and its rivals against loops, closed forms, other libraries and low precision."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from breastmri import CMSLoss
from breastmri._shared.errors import ConfigError, DataError
from breastmri.losses import (
    CenterLoss,
    MarginSigmoidLoss,
    SigmoidLoss,
    SoftmaxMarginLoss,
    make_loss,
    margin_ramp,
    smallest_scale,
)


def batch(n=64, tasks=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    cosines = torch.rand(n, tasks, generator=generator, dtype=torch.float64) * 2 - 1
    return cosines, torch.randint(0, 2, (n, tasks), generator=generator)


def loop(cosines, labels, s, m_pos, m_neg):
    """The two branches of the equation, one entry at a time, with plain exponentials."""
    total = 0.0
    for c, y in zip(cosines.flatten().tolist(), labels.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-s * (c - m_pos))) if y else 1 / (1 + math.exp(-s * (c + m_neg)))
        total -= math.log(p if y else 1 - p)
    return total / cosines.numel()


@pytest.mark.parametrize(("scale", "margin", "margin_neg"), [(4.0, 0.0, None), (8.0, 0.2, None), (8.0, 0.35, 0.0)])
def test_value_is_that_of_the_equation(scale, margin, margin_neg):
    cosines, labels = batch(tasks=2)
    loss = CMSLoss(scale, margin, margin_neg)(cosines, labels)
    assert loss.dtype == torch.float64
    m_neg = margin if margin_neg is None else margin_neg
    assert loss.item() == pytest.approx(loop(cosines, labels, scale, margin, m_neg), rel=1e-12)


def test_without_margin_it_is_scaled_cross_entropy():
    cosines, labels = batch()
    expected = F.binary_cross_entropy_with_logits(16 * cosines, labels.double())
    assert CMSLoss(16, 0.0)(cosines, labels).item() == pytest.approx(expected.item(), abs=1e-8)


def test_gradient_is_the_closed_form():
    cosines, labels = batch()
    cosines.requires_grad_()
    CMSLoss(16, 0.2, reduction="sum")(cosines, labels).backward()
    t = 2.0 * labels - 1
    expected = -t * 16 * torch.sigmoid(-16 * (t * cosines - 0.2))
    torch.testing.assert_close(cosines.grad, expected.detach(), rtol=1e-12, atol=1e-12)


def test_two_class_cosface_with_opposite_weights_is_cmsl_of_twice_the_scale_and_half_the_margin():
    cosines, labels = batch()
    two = torch.cat([-cosines, cosines], 1)
    ours = CMSLoss(32.0, 0.15)(cosines, labels)
    assert SoftmaxMarginLoss("cosface", 16.0, 0.3)(two, labels).item() == pytest.approx(ours.item(), abs=1e-9)


def test_family_reduces_to_cmsl_and_follows_sphereface2():
    cosines, labels = batch()
    assert MarginSigmoidLoss(16, 0.2)(cosines, labels) == CMSLoss(16, 0.2)(cosines, labels)
    lam, r, m, t, b = 0.7, 40.0, 0.4, 3.0, -1.0
    g = 2 * ((cosines + 1) / 2) ** t - 1
    y = labels.double()
    expected = lam * y * F.softplus(-(r * (g - m) + b)) + (1 - lam) * (1 - y) * F.softplus(r * (g + m) + b)
    ours = MarginSigmoidLoss(r, m, bias=b, power_t=t, pos_lambda=lam)(cosines, labels)
    assert ours.item() == pytest.approx(2 * expected.mean().item(), rel=1e-8)


def test_learnable_bias_starts_at_zero_and_gets_a_gradient():
    cosines, labels = batch()
    loss = MarginSigmoidLoss(bias="learnable")
    value = loss(cosines, labels)
    assert value == CMSLoss()(cosines, labels)
    value.backward()
    assert loss.bias.grad.abs() > 0


@pytest.mark.parametrize("kind", ["cosface", "arcface"])
def test_softmax_margins_agree_with_pytorch_metric_learning(kind):
    from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss

    torch.manual_seed(0)
    embedding, labels = torch.randn(20, 6), torch.randint(0, 2, (20,))
    if kind == "cosface":
        theirs, margin = CosFaceLoss(2, 6, margin=0.3, scale=16), 0.3
    else:
        theirs, margin = ArcFaceLoss(2, 6, margin=math.degrees(0.3), scale=16), 0.3
    cosines = F.normalize(embedding) @ F.normalize(theirs.W.detach(), dim=0)
    ours = SoftmaxMarginLoss(kind, 16.0, margin)(cosines, labels)
    assert ours.item() == pytest.approx(theirs(embedding, labels).item(), rel=1e-4)


def test_asoftmax_multiplies_the_angle_and_decreases_with_it():
    theta = torch.linspace(0.01, math.pi - 0.01, 400, dtype=torch.float64)
    psi = SoftmaxMarginLoss("asoftmax", 16.0, 4)._with_margin(theta.cos())
    inner = theta < math.pi / 4
    torch.testing.assert_close(psi[inner], torch.cos(4 * theta[inner]), atol=1e-6, rtol=0)
    assert bool((psi.diff() < 0).all())
    assert psi.min() > -7.001


def test_normface_is_the_softmax_of_scaled_cosines():
    cosines, labels = batch(tasks=2)
    expected = F.cross_entropy(16 * cosines, labels[:, 0])
    assert SoftmaxMarginLoss("normface", 16.0)(cosines, labels[:, 0]).item() == pytest.approx(expected.item())


def test_focal_is_cross_entropy_for_gamma_0_and_the_equation_otherwise():
    logits, labels = batch()
    y = labels.double()
    ce = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    p_true = torch.where(labels == 1, logits.sigmoid(), 1 - logits.sigmoid())
    assert SigmoidLoss()(logits, labels).item() == pytest.approx(ce.mean().item())
    assert SigmoidLoss(2.0)(logits, labels).item() == pytest.approx(((1 - p_true) ** 2 * ce).mean().item())


def test_center_loss_pulls_to_the_own_centre_only():
    loss = CenterLoss(3)
    loss(torch.ones(4, 3), torch.tensor([1, 1, 1, -1])).backward()
    assert loss.centers.grad[0].abs().sum() == 0
    torch.testing.assert_close(loss.centers.grad[1], -torch.ones(3))


def test_soft_labels_mix_the_two_branches():
    cosines = torch.tensor([0.3])
    halves = [CMSLoss()(cosines, torch.tensor([y])).item() for y in (0, 1)]
    assert CMSLoss()(cosines, torch.tensor([0.25])).item() == pytest.approx(0.75 * halves[0] + 0.25 * halves[1])


def test_unlabelled_entries_do_not_count_and_get_no_gradient():
    cosines, labels = batch(8, 2)
    labels[0, 1] = -1
    cosines.requires_grad_()
    loss = CMSLoss()(cosines, labels)
    kept = labels != -1
    assert loss.item() == pytest.approx(CMSLoss()(cosines[kept], labels[kept]).item())
    loss.backward()
    assert cosines.grad[0, 1] == 0
    assert CMSLoss()(cosines, torch.full_like(labels, -1)).item() == 0.0


def test_pos_weight_counts_positives_more_often():
    cosines, labels = batch()
    weight = torch.where(labels == 1, 3.0, 1.0)
    plain = CMSLoss(reduction="none")(cosines, labels)
    assert CMSLoss(pos_weight=3.0)(cosines, labels).item() == pytest.approx((weight * plain).mean().item())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [16.0, 64.0])
def test_low_precision_is_finite_where_the_textbook_form_is_not(dtype, scale):
    cosines = torch.linspace(-1, 1, 2001, dtype=dtype)
    labels = torch.ones(2001)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = CMSLoss(scale, 0.35, reduction="none")(cosines, labels)
    assert loss.dtype == torch.float32
    assert bool(loss.isfinite().all())
    p = torch.sigmoid(scale * (cosines - 0.35))
    textbook = -labels * torch.log(p) - (1 - labels) * torch.log(1 - p)
    assert not bool(textbook.isfinite().all())


def test_margin_grows_linearly_and_scales_both_margins():
    cosines, labels = batch()
    half = CMSLoss(16, 0.4)(cosines, labels, margin_factor=margin_ramp(5, 10))
    assert half.item() == pytest.approx(CMSLoss(16, 0.2)(cosines, labels).item())
    assert float(margin_ramp(torch.tensor(20), 10)) == 1.0


def test_smallest_scale_reaches_the_probability_exactly():
    s = smallest_scale(0.99, 0.35)
    assert 1 / (1 + math.exp(-s * (1 - 0.35))) == pytest.approx(0.99)


def test_inference_logit_has_no_margin_and_is_zero_at_cosine_zero():
    assert CMSLoss(16, 0.5).logits(torch.tensor([0.0, 0.5])).tolist() == [0.0, 8.0]


@pytest.mark.parametrize(
    ("cosines", "labels", "match"),
    [
        ([1.1], [1], "expected cosines in"),
        ([0.1], [2], "expected labels in"),
        ([0.1], [1.5], "expected labels in"),
        ([0.1, 0.2], [1], "expected labels of shape"),
        ([float("nan")], [1], "expected cosines in"),
    ],
)
def test_senseless_input_is_refused(cosines, labels, match):
    with pytest.raises(DataError, match=match):
        CMSLoss()(torch.tensor(cosines), torch.tensor(labels))


def test_senseless_settings_are_refused():
    with pytest.raises(ConfigError, match="margin must be in"):
        CMSLoss(margin=1.0)
    with pytest.raises(ConfigError, match="scale must be positive"):
        CMSLoss(scale=0)
    with pytest.raises(ConfigError, match="expected a loss among cmsl"):
        make_loss("hinge")
    with pytest.raises(DataError, match="no soft labels"):
        SoftmaxMarginLoss()(torch.zeros(1, 2), torch.tensor([0.5]))
