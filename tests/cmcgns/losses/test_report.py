"""The cluster-guided report loss beyond what the reference covers: modes, options, sharing, errors."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from cmcgns._shared.errors import ConfigError, DataError
from cmcgns.cluster import nearest_two
from cmcgns.losses import bml, info_nce, report_loss

MODES = ["keep", "exclude", "downweight", "bml", "soft-positive"]


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(5, 16, generator=generator, dtype=torch.float64)
    z1 = centres[torch.arange(18) % 5] + 0.5 * torch.randn(18, 16, generator=generator, dtype=torch.float64)
    z2 = z1 + torch.randn(18, 16, generator=generator, dtype=torch.float64)
    return z1, z2, centres


def by_hand(z1, z2, centres, mode, share, mu=3.0, tau=0.5, hard=None) -> float:
    """The paper's loss with explicit weights and targets, anchor by anchor."""
    a, b, c = (F.normalize(x, dim=-1) for x in (z1, z2, centres))
    first, second = nearest_two(a, c)
    hard = c[second] if hard is None else hard
    total = 0.0
    for m in range(len(a)):
        twins = [j for j in range(len(a)) if j != m and first[j] == first[m]]
        weight = {"downweight": share, "exclude": 0.0}.get(mode, 1.0)
        denominator = 0.0
        for j in range(len(a)):
            w = weight if j in twins else 1.0
            denominator += w * math.exp(float(a[m] @ b[j]) / tau)
            denominator += (mu if j == m else 1.0) * math.exp(float(a[m] @ hard[j]) / tau)
        targets = {m: 1.0}
        if mode == "soft-positive" and twins:
            targets = {m: 1 - share} | {j: share / len(twins) for j in twins}
        total -= sum(t * (float(a[m] @ b[j]) / tau - math.log(denominator)) for j, t in targets.items())
    return total / len(a)


@pytest.mark.parametrize("mode", ["keep", "exclude", "downweight", "soft-positive"])
def test_modes_equal_their_formula(data, mode) -> None:
    got = report_loss(*data, temperature=0.5, false_negatives=mode, false_negative_weight=0.3)
    assert float(got) == pytest.approx(by_hand(*data, mode, 0.3), abs=1e-9)


def test_bml_mode_is_keep_plus_the_margin_over_false_negatives(data) -> None:
    z1, z2, centres = data
    group = nearest_two(z1, centres)[0]
    mask = (group[:, None] == group) & ~torch.eye(18, dtype=torch.bool)
    expected = report_loss(*data) + 0.7 * bml(z1, z2, mask)
    torch.testing.assert_close(report_loss(*data, false_negatives="bml", bml_weight=0.7), expected)


def test_mined_hard_negatives_are_real_sentences_of_the_second_cluster(data) -> None:
    a, b, c = (F.normalize(x, dim=-1) for x in data)
    first, second = nearest_two(a, c)
    rows = []
    for m in range(len(a)):
        members = [j for j in range(len(a)) if first[j] == second[m]]
        rows.append(b[max(members, key=lambda j: float(a[m] @ b[j]))] if members else c[second[m]])
    got = report_loss(*data, temperature=0.5, hard_negatives="sentence")
    assert float(got) == pytest.approx(by_hand(*data, "keep", 0.1, hard=torch.stack(rows)), abs=1e-9)


def test_without_hard_negatives_and_clusters_it_is_plain_info_nce(data) -> None:
    z1, z2, centres = data
    plain = report_loss(z1, z2, None, temperature=0.5, symmetric=True)
    torch.testing.assert_close(plain, info_nce(z1, z2, 2.0))
    torch.testing.assert_close(
        report_loss(z1, z2, centres, temperature=0.5, symmetric=True, hard_negatives="none"), plain
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hard", ["centre", "sentence", "none"])
def test_shares_of_several_ranks_add_up_to_the_whole(data, mode, hard) -> None:
    options = {"temperature": 0.3, "false_negatives": mode, "hard_negatives": hard, "symmetric": True}
    parts = [torch.arange(0, 18, 2), torch.arange(1, 18, 2)]
    shares = sum(report_loss(*data, **options, rows=part) for part in parts)
    torch.testing.assert_close(shares, report_loss(*data, **options))


def test_official_shares_add_up_too(data) -> None:
    options = {"variant": "official", "false_negatives": "bml"}
    shares = sum(report_loss(*data, **options, rows=part) for part in torch.arange(18).split(5))
    torch.testing.assert_close(shares, report_loss(*data, **options))


@pytest.mark.parametrize("mode", MODES)
def test_chunks_change_neither_value_nor_gradient(data, mode, monkeypatch) -> None:
    def run(chunk: int):
        monkeypatch.setattr("cmcgns.losses.rows.sum_over_rows.__defaults__", (chunk,))
        z1, z2 = (x.clone().requires_grad_() for x in data[:2])
        loss = report_loss(z1, z2, data[2], temperature=0.2, false_negatives=mode, symmetric=True)
        return [loss, *torch.autograd.grad(loss, [z1, z2])]

    for whole, chunked in zip(run(512), run(5), strict=True):
        torch.testing.assert_close(whole, chunked, rtol=0, atol=1e-12)


@pytest.mark.parametrize("space", ["text", "cross", "mean"])
def test_the_space_decides_whose_clusters_count(data, space) -> None:
    z1, z2, centres = data
    place = {"text": z1, "cross": z2, "mean": F.normalize(z1, dim=-1) + F.normalize(z2, dim=-1)}[space]
    group = nearest_two(place, centres)[0]
    mask = (group[:, None] == group) & ~torch.eye(18, dtype=torch.bool)
    logits = F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T
    expected = F.cross_entropy(logits.masked_fill(mask, -math.inf), torch.arange(18))
    got = report_loss(*data, false_negatives="exclude", hard_negatives="none", assign_space=space)
    torch.testing.assert_close(got, expected)


def test_temperature_can_be_learned(data) -> None:
    temperature = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    report_loss(*data, temperature=temperature).backward()
    assert temperature.grad.abs() > 0


def test_one_sentence_alone_has_a_finite_loss() -> None:
    z = torch.randn(1, 8)
    for variant in ("paper", "official"):
        assert report_loss(z, z, torch.randn(3, 8), variant=variant).isfinite()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "mine"}, "got 'mine'"),
        ({"false_negatives": "drop"}, "got 'drop'"),
        ({"hard_weight": 0.0}, "more than 0, got 0.0"),
        ({"variant": "official", "false_negatives": "exclude"}, "keep or bml only"),
        ({"centroids": torch.randn(1, 16, dtype=torch.float64)}, "K of at least 2"),
    ],
)
def test_impossible_options_are_refused(data, options, message) -> None:
    arguments = {"z1": data[0], "z2": data[1], "centroids": data[2]} | options
    with pytest.raises(ConfigError, match=message):
        report_loss(**arguments)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"got \(3, 4\) and \(2, 4\)"):
        report_loss(torch.randn(3, 4), torch.randn(2, 4), None)
    with pytest.raises(DataError, match=r"expected a mask \(3, 3\), got \(2, 3\)"):
        bml(torch.randn(3, 4), torch.randn(3, 4), torch.ones(2, 3))
