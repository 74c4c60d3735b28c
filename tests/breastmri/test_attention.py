"""COAM against the brute N x N matrix, its identities, precision, and exact contributions."""

from __future__ import annotations

import time

import pytest
import torch

from breastmri import CosineHead, coam
from breastmri._shared.errors import ConfigError, DataError
from breastmri.attention import cosine_contributions

KINDS = ["gram", "weighted", "cosine", "pearson", "energy", "rectified", "softmax", "topk"]


def features(b=2, c=5, spatial=(2, 3, 4), signed=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn if signed else torch.rand
    return draw(b, c, *spatial, generator=generator, dtype=torch.float64)


def brute(a, kind, v=None, weight=None, exclude_self=False, top=32):
    """Pair scores as a full matrix, then the mean over the positions that count."""
    a = a.flatten(2)
    n = a.shape[2]
    v = torch.ones(len(a), n, dtype=a.dtype) if v is None else v.flatten(1).to(a.dtype)
    maps = []
    for x, w in zip(a, v, strict=True):
        if kind == "weighted":
            score = x.T @ torch.diag(weight.relu()) @ x
        elif kind in ("cosine", "pearson"):
            y = x - x.mean(0) if kind == "pearson" else x
            y = y / y.norm(dim=0)
            score = y.T @ y
        else:
            score = x.T @ x
        if kind == "energy":
            score = score**2
        if kind == "rectified":
            score = score.relu()
        if kind == "softmax":
            maps.append((w @ (score / x.shape[0] ** 0.5).softmax(1)) / w.sum() * n)
            continue
        if kind == "topk":
            kept = score[:, w > 0]
            maps.append(kept.topk(min(top, kept.shape[1]), dim=1).values.mean(1))
            continue
        if exclude_self:
            score = score - torch.diag(score.diagonal())
        maps.append(score @ w / w.sum())
    return torch.stack(maps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_map_equals_the_brute_matrix(kind, masked):
    a = features()
    weight = torch.randn(5, dtype=torch.float64) if kind == "weighted" else None
    mask = torch.rand(2, 2, 3, 4) > 0.4 if masked else None
    ours = coam(a, kind, weight=weight, mask=mask, tile=7, top=6)
    assert ours.shape == (2, 2, 3, 4)
    assert ours.dtype == torch.float64
    expected = brute(a, kind, mask, weight, top=6)
    torch.testing.assert_close(ours.flatten(1), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", ["gram", "cosine", "pearson", "energy", "rectified"])
def test_a_position_can_be_left_out_of_its_own_mean(kind):
    a = features()
    mask = torch.rand(2, 2, 3, 4, dtype=torch.float64)
    ours = coam(a, kind, mask=mask, exclude_self=True)
    torch.testing.assert_close(ours.flatten(1), brute(a, kind, mask, exclude_self=True))


def test_mean_of_the_gram_map_is_the_squared_norm_of_the_pooled_feature():
    a = features(signed=False)
    torch.testing.assert_close(coam(a).flatten(1).mean(1), a.flatten(2).mean(2).square().sum(1))


def test_gram_is_the_gradient_of_half_the_squared_norm():
    a = features(signed=False).requires_grad_()
    (0.5 * a.flatten(2).mean(2).square().sum()).backward()
    torch.testing.assert_close(coam(a), (a.grad * 24 * a).sum(1))


def test_invariant_to_rotations_of_channels_and_equivariant_to_permutations_of_positions():
    a = features(spatial=(24,))
    q = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    torch.testing.assert_close(coam(torch.einsum("dc,bcn->bdn", q, a)), coam(a))
    order = torch.randperm(24)
    torch.testing.assert_close(coam(a[:, :, order]), coam(a)[:, order])
    torch.testing.assert_close(coam(3 * a), 9 * coam(a))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_depend_on_its_neighbours(kind):
    a = features(b=3)
    weight = torch.rand(5, dtype=torch.float64) if kind == "weighted" else None
    torch.testing.assert_close(coam(a, kind, weight=weight)[1:2], coam(a[1:2], kind, weight=weight))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["gram", "cosine", "energy", "rectified"])
def test_half_precision_is_computed_in_float32(dtype, kind):
    a = features(signed=False).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = coam(a, kind)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), coam(a.double(), kind), rtol=1e-5, atol=1e-6)


def test_gradients_flow_through_a_map_also_through_tiles():
    a = features(b=1, c=3, spatial=(6,)).requires_grad_()
    for kind in ("gram", "cosine", "energy", "rectified", "softmax"):
        assert torch.autograd.gradcheck(lambda x, k=kind: coam(x, k, tile=4), (a,))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_any_number_of_axes(shape):
    assert coam(features(spatial=shape)).shape == (2, *shape)


@pytest.mark.parametrize("embed_dim", [None, 4])
@pytest.mark.filterwarnings("ignore:CosineHead without embedding")
def test_contributions_add_up_to_the_cosine(embed_dim):
    a = features(signed=False)
    head = CosineHead(5, num_tasks=2, embed_dim=embed_dim).double()
    pooled = a.flatten(2).mean(2)
    parts = cosine_contributions(a, head.directions(), head.embedding(pooled).norm(dim=1))
    torch.testing.assert_close(parts.flatten(2).sum(2), head(pooled), rtol=1e-12, atol=1e-12)


def test_senseless_input_is_refused():
    a = features()
    with pytest.raises(ConfigError, match="expected a kind among gram"):
        coam(a, "covariance")
    with pytest.raises(ConfigError, match="which needs them"):
        coam(a, "weighted")
    with pytest.raises(ConfigError, match="needs a mask"):
        coam(a, "masked")
    with pytest.raises(DataError, match="must keep a position"):
        coam(a, mask=torch.zeros(2, 2, 3, 4))
    with pytest.raises(DataError, match="expected a mask of shape"):
        coam(a, mask=torch.ones(2, 2, 3))
    with pytest.raises(DataError, match="expected floating-point features"):
        coam(torch.ones(2, 3))


@pytest.mark.slow
def test_the_linear_form_is_hundreds_of_times_faster_and_needs_no_matrix():
    """Processor time, so that a busy machine does not matter much; the table is that of `make bench PKG=breastmri`."""
    a = torch.rand(1, 512, 8192)

    def cost(work, repeats):
        times = []
        for _ in range(repeats):
            started = time.process_time()
            work()
            times.append(time.process_time() - started)
        return min(times)

    linear = cost(lambda: coam(a), 30)
    matrix = cost(lambda: (a[0].T @ a[0]).mean(1), 2)
    assert matrix > 300 * linear
