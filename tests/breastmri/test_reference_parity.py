"""The method against a loop reference that was written from the specification alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.breastmri import reference_method as ref

from breastmri import CMSLoss, CosineHead, coam
from breastmri._shared.metrics.delong import delong, delong_test
from breastmri.attention import cosine_contributions
from breastmri.backbones import receptive_cells
from breastmri.geometry import half_max_centroid
from breastmri.losses import MarginSigmoidLoss

RNG = np.random.default_rng(11)
COLUMNS = RNG.normal(0.2, 1.0, (5, 12))
A = torch.from_numpy(COLUMNS)[None].reshape(1, 5, 2, 2, 3)


@pytest.mark.parametrize("kind", ["gram", "cosine", "pearson", "energy"])
@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_linear_kinds(kind, exclude_self, masked):
    mask = RNG.random(12) if masked else None
    given = None if mask is None else torch.from_numpy(mask).reshape(2, 2, 3)
    ours = coam(A, kind, mask=given, exclude_self=exclude_self).flatten().numpy()
    np.testing.assert_allclose(ours, ref.coam(COLUMNS, kind, mask=mask, exclude_self=exclude_self), rtol=1e-9)


def test_weighted_and_streamed_kinds():
    weight = RNG.normal(size=5)
    ours = coam(A, "weighted", weight=torch.from_numpy(weight)).flatten().numpy()
    np.testing.assert_allclose(ours, ref.coam(COLUMNS, "weighted", class_weight=weight), rtol=1e-9)
    for excluded in (False, True):
        ours = coam(A, "rectified", tile=5, exclude_self=excluded).flatten().numpy()
        np.testing.assert_allclose(ours, ref.coam(COLUMNS, rectified=True, exclude_self=excluded), rtol=1e-9)
    ours = coam(A, "topk", tile=5, top=4).flatten().numpy()
    np.testing.assert_allclose(ours, ref.coam_topk(COLUMNS, 4), rtol=1e-9)
    ours = coam(A, "softmax", tile=5).flatten().numpy() / 12
    np.testing.assert_allclose(ours, ref.coam_softmax_received(COLUMNS, temperature=5**0.5), rtol=1e-9)


def test_head_loss_and_contributions():
    head = CosineHead(5, num_tasks=2, embed_dim=3).double()
    features = RNG.normal(size=(4, 5))
    embedding, weight = head.embed.weight.detach().numpy(), head.weight.detach().numpy()
    cosines = head(torch.from_numpy(features)).detach()
    np.testing.assert_allclose(cosines, ref.cosine_head(features, weight, embedding), rtol=1e-9)
    labels = np.array([[1, 0], [-1, 1], [0, 1], [1, 1]])
    loss = CMSLoss(16, 0.3, 0.1, pos_weight=2.0)(cosines, torch.from_numpy(labels))
    assert loss.item() == pytest.approx(ref.cmsl(cosines.numpy(), labels, 16, 0.3, 0.1, 2.0), rel=1e-9)
    norm = head.embedding(torch.from_numpy(COLUMNS.mean(1))[None]).norm(dim=1)
    parts = cosine_contributions(A, head.directions(), norm)[0, 1].flatten().detach()
    np.testing.assert_allclose(parts, ref.attribution(COLUMNS, weight[1], embedding), rtol=1e-9)


def test_gradients_of_the_loss():
    f, w = RNG.normal(size=6), RNG.normal(size=6)
    for label in (0, 1):
        x, v = (torch.from_numpy(a.copy()).requires_grad_() for a in (f, w))
        c = (x @ v) / x.norm() / v.norm()
        MarginSigmoidLoss(16, 0.2)(c[None], torch.tensor([label])).backward()
        _, by_f, by_w = ref.cmsl_gradients(f, w, label, 16, 0.2)
        np.testing.assert_allclose(x.grad, by_f, rtol=1e-9)
        np.testing.assert_allclose(v.grad, by_w, rtol=1e-9)


def test_centre_of_a_map():
    for _ in range(20):
        volume = RNG.random((4, 5, 6)) ** 3
        np.testing.assert_allclose(half_max_centroid(volume), ref.half_max_centroid(volume), rtol=1e-9)


def test_receptive_field():
    layers = [(7, 2, 3), (3, 2, 1), (3, 1, 1), (2, 2, 0), (1, 1, 0), (2, 2, 0)]
    body = torch.nn.Sequential(*(torch.nn.Conv3d(1, 1, k, s, p) for k, s, p in layers))
    cells = receptive_cells(body)
    assert (cells.offset[0], cells.stride[2]) == ref.receptive_field(layers)


def test_delong():
    labels = RNG.integers(0, 2, 30)
    a, b = (labels + RNG.normal(size=30).round(1) for _ in range(2))
    assert delong(labels, a).variance == pytest.approx(ref.delong_variance(labels, a), rel=1e-9)
    difference, error, p = ref.delong_paired(labels, a, b)
    ours = delong_test(labels, a, b)
    assert (ours.difference, ours.z, ours.p_value) == pytest.approx((difference, difference / error, p), rel=1e-9)
