"""The loop reference agrees with closed forms and with PyTorch's own layers."""

import math

import pytest
import torch
from tests.cmcgns import reference_official as ref
from torch import nn
from torch.nn import functional as F


def rows(count: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach() for key, value in module.double().state_dict().items()}


def test_weighted_logits_equal_the_closed_form_and_its_gradient() -> None:
    z1, z2, centres = rows(7, 16, 1).requires_grad_(), rows(7, 16, 2).requires_grad_(), rows(4, 16, 3)
    hard = ref.hard_negatives(z1, centres)
    loss = ref.official_contrastive_loss(z1, z2, hard)
    cosine = F.normalize(z1) @ F.normalize(z2).T
    own = 3 * F.cosine_similarity(z1, hard)
    constant = torch.full_like(own, math.log(6))
    closed = (
        torch.logsumexp(torch.cat([cosine, own[:, None], constant[:, None]], 1), 1) - cosine.diagonal()
    ).mean()
    torch.testing.assert_close(loss, closed, rtol=0, atol=1e-12)
    for a, b in zip(torch.autograd.grad(loss, [z1, z2]), torch.autograd.grad(closed, [z1, z2]), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_loss_starts_at_log_2n_and_perfect_alignment_gains_one_nat() -> None:
    z1, z2, centres = rows(64, 768, 1), rows(64, 768, 2), rows(8, 768, 3)
    hard = ref.hard_negatives(z1, centres)
    assert float(ref.official_contrastive_loss(z1, z2, hard)) == pytest.approx(math.log(128), abs=0.03)
    assert float(ref.official_contrastive_loss(z1, z1, hard)) == pytest.approx(3.85, abs=0.03)


def test_splitting_a_random_batch_over_two_ranks_lowers_the_loss_by_log_two() -> None:
    z1, z2, centres = rows(64, 768, 1), rows(64, 768, 2), rows(8, 768, 3)
    whole = ref.official_report_loss(z1, z2, centres)
    halves = [ref.official_report_loss(z1[part], z2[part], centres) for part in (slice(32), slice(32, 64))]
    assert float(whole - sum(halves) / 2) == pytest.approx(math.log(2), abs=0.02)


def test_global_loss_is_the_mean_of_two_cross_entropies() -> None:
    v, t = F.normalize(rows(5, 8, 1)), F.normalize(rows(5, 8, 2))
    logits, target = 10 * v @ t.T, torch.arange(5)
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(ref.global_loss(v, t, 10.0), expected, rtol=0, atol=1e-12)


def test_sentence_is_the_mean_of_its_tokens_and_specials_are_left_out() -> None:
    tokens = torch.tensor([[9.0, 9], [1, 0], [3, 0], [0, 5], [9, 9]])
    gathered = ref.sentence_gather(tokens, torch.tensor([-1, 1, 1, 2, -1]))
    torch.testing.assert_close(gathered, torch.tensor([[2.0, 0], [0, 5]]))


def test_attention_equals_the_library_one() -> None:
    layer = nn.MultiheadAttention(16, 8, batch_first=True).double()
    query, memory = rows(3, 16, 1), rows(5, 16, 2)
    expected = layer(query[None], memory[None], memory[None])[0][0]
    torch.testing.assert_close(ref.multihead_attention(query, memory, state(layer)), expected, rtol=0, atol=1e-12)
    sequence = torch.cat([memory.mean(0, keepdim=True), memory])[None]
    pooled = F.normalize(layer(sequence, sequence, sequence)[0][0, 0], dim=0)
    torch.testing.assert_close(ref.pool_report(memory, state(layer)), pooled, rtol=0, atol=1e-12)


def test_image_pool_equals_library_attention_with_separate_projections() -> None:
    names = ("q_proj", "k_proj", "v_proj", "c_proj")
    weights = {f"{n}.weight": rows(16, 16, i) for i, n in enumerate(names)}
    weights |= {f"{n}.bias": rows(1, 16, 9 + i)[0] for i, n in enumerate(names)}
    weights["positional_embedding"] = rows(7, 16, 20)
    feature_map = rows(16, 6, 21).reshape(16, 2, 3)
    cells = feature_map.flatten(1).T
    tokens = (torch.cat([cells.mean(0, keepdim=True), cells]) + weights["positional_embedding"])[:, None]
    expected, _ = F.multi_head_attention_forward(
        tokens[:1], tokens, tokens, 16, 8, None, torch.cat([weights[f"{n}.bias"] for n in names[:3]]),
        None, None, False, 0.0, weights["c_proj.weight"], weights["c_proj.bias"], use_separate_proj_weight=True,
        q_proj_weight=weights["q_proj.weight"], k_proj_weight=weights["k_proj.weight"],
        v_proj_weight=weights["v_proj.weight"],
    )  # fmt: skip
    torch.testing.assert_close(ref.pool_image(feature_map, weights), expected[0, 0], rtol=0, atol=1e-12)


def test_scrambled_token_mixes_channels_over_all_positions() -> None:
    feature_map = torch.arange(2048 * 49).reshape(2048, 7, 7)
    first = ref.scrambled_tokens(feature_map)[0]
    assert len({int(v) // 49 for v in first}) == 42  # the count measured in the specification
    torch.testing.assert_close(ref.scrambled_tokens(feature_map), feature_map.reshape(49, 2048))


def test_cross_attention_equals_its_matrix_form() -> None:
    weights = {f"{n}.weight": rows(8, 8, i) for i, n in enumerate(("q1", "k1", "v1", "q2", "k2", "v2"))}
    image, report = rows(5, 8, 10), rows(3, 8, 11)
    w = {name[:2]: value.T for name, value in weights.items()}
    to_image, to_report = ref.cross_attention(image, report, weights)
    gates = torch.sigmoid((report @ w["q2"]) @ (image @ w["k1"]).T / math.sqrt(8))
    torch.testing.assert_close(to_report, gates @ (image @ w["v1"]), rtol=0, atol=1e-11)
    gates = torch.sigmoid((image @ w["q1"]) @ (report @ w["k2"]).T / math.sqrt(8))
    torch.testing.assert_close(to_image, gates @ (report @ w["v2"]), rtol=0, atol=1e-11)


def test_patch_loss_is_minus_one_when_the_predictor_keeps_equal_patches() -> None:
    x = rows(6, 4, 1).abs().reshape(2, 3, 4)
    keep = {f"{i}.weight": torch.eye(4, dtype=torch.float64) for i in (0, 2)}
    assert float(ref.patch_loss(x, x, keep)) == pytest.approx(-1.0, abs=1e-12)
    own = x.clone().requires_grad_()
    blocked = {f"{i}.weight": torch.zeros(4, 4, dtype=torch.float64) for i in (0, 2)}
    (gradient,) = torch.autograd.grad(ref.patch_loss(own, x, blocked), own)
    assert float(gradient.abs().max()) == 0  # the target side is detached


def test_chain_looks_at_the_last_centre_only() -> None:
    angles = torch.tensor([0.0, 170.0, 20.0, 200.0]).deg2rad().double()
    circle = torch.stack([angles.cos(), angles.sin()], 1)
    torch.testing.assert_close(ref.initial_centres(circle, 3, first=0), circle[[0, 1, 2]])
    torch.testing.assert_close(ref.initial_centres(circle, 4, first=0, exclude_chosen=False), circle[[0, 1, 0, 1]])
    with pytest.raises(ValueError, match="5 centres from 4 rows"):
        ref.initial_centres(circle, 5, first=0)


def test_update_adds_sums_and_leaves_empty_centres() -> None:
    centres = torch.tensor([[1.0, 0], [0, 1], [-1, 0]])
    batch = torch.tensor([[1.0, 0], [0.8, 0.6], [0, 1]])
    expected = torch.tensor([[0.1 * 1.8 + 0.9, 0.06], [0, 1], [-1, 0]])
    torch.testing.assert_close(ref.updated_centres(batch, centres, rate=0.1), expected)


def test_hard_negative_is_the_second_centre_and_mask_marks_shared_first_ones() -> None:
    centres = torch.tensor([[5.0, 0], [0, 1], [-1, 0]])
    anchors = torch.tensor([[1.0, 0.1], [1, 0.2], [-0.1, 1]])
    torch.testing.assert_close(ref.hard_negatives(anchors, centres), centres[[1, 1, 2]])
    expected = torch.tensor([[False, True, False], [True, False, False], [False, False, False]])
    assert torch.equal(ref.false_negative_mask(anchors, centres), expected)


def test_official_margin_is_a_constant_without_false_negatives() -> None:
    similarity = ref.cosines(rows(5, 8, 1), rows(5, 8, 2))
    assert float(ref.official_margin_loss(similarity, torch.zeros(5, 5))) == pytest.approx(0.2)
    assert float(ref.pair_margin_loss(similarity, torch.zeros(5, 5))) == 0


def test_margins_differ_by_the_share_of_false_negative_pairs() -> None:
    similarity = ref.cosines(rows(6, 8, 1), rows(6, 8, 2))
    mask = ref.false_negative_mask(rows(6, 8, 1), rows(2, 8, 3))
    share = float(mask.double().mean())
    assert 0 < share < 1
    pairs = ref.pair_margin_loss(similarity, mask)
    torch.testing.assert_close(ref.official_margin_loss(similarity, mask), share * pairs + (1 - share) * 0.2)


def test_margin_is_flat_between_minus_beta_and_minus_alpha() -> None:
    gaps = torch.tensor([-0.7, -0.5, -0.3, -0.2, 0.1])
    torch.testing.assert_close(ref.margin(gaps, 0.2, 0.5), torch.tensor([0.2, 0, 0, 0, 0.3]))


def test_first_step_is_plain_and_creates_centres_only_below_the_threshold() -> None:
    z1, z2 = rows(6, 32, 1), rows(6, 32, 2)
    loss, centres = ref.official_report_step(z1, z2, None, num_clusters=4)
    torch.testing.assert_close(loss, ref.plain_report_loss(z1, z2))
    assert centres is not None
    assert centres.shape == (4, 32)
    same = torch.ones(6, 32).double()
    assert ref.official_report_step(same, same, None, num_clusters=4)[1] is None
    second, moved = ref.official_report_step(z1, z2, centres)
    torch.testing.assert_close(second, ref.official_report_loss(z1, z2, moved))
    assert not torch.equal(moved, centres)


def test_paper_variant_equals_logsumexp_with_added_log_weights() -> None:
    z1, z2 = rows(6, 8, 1), rows(6, 8, 2)
    hard = ref.hard_negatives(z1, rows(3, 8, 3))
    excluded = ref.false_negative_mask(z1, rows(3, 8, 3))
    assert excluded.any()
    first, second = ref.cosines(z1, z2) / 0.07, ref.cosines(z1, hard) / 0.07 + math.log(3) * torch.eye(6)
    for mask in (None, excluded):
        block = first if mask is None else first.masked_fill(mask, -math.inf)
        expected = (torch.logsumexp(torch.cat([block, second], 1), 1) - first.diagonal()).mean()
        torch.testing.assert_close(ref.paper_contrastive_loss(z1, z2, hard, 0.07, 3.0, mask), expected)
