"""The official CM-CGNS features and losses in plain loops: the parity reference.

Written from the written specification alone (sections 1.1 to 1.3 of the CM-CGNS spec), without reading the official
code or `packages/cmcgns`, so that an agreement of the two means something. It is meant to be read as the
specification in code: pairs, sentences, heads, centres and kernel taps are explicit loops over small tensors, every
random draw is an argument, and everything differentiable stays so. Run it in float64. Stage II is in
`reference_decoders.py`.

Symbols as there: B pairs, P patches, S sentences of one report, N sentences of the batch, D width, K clusters.
Weights are dicts with PyTorch's own key names and shapes: a linear map is `weight` (out, in) and, where present,
`bias` (out,); attention has `in_proj_weight` (3D, D), `in_proj_bias`, `out_proj.weight`, `out_proj.bias`.
"""

import math

import torch
from torch import Tensor

Weights = dict[str, Tensor]
START_COSINE, RATE, ALPHA, BETA, BML_WEIGHT, HARD_WEIGHT = 0.4, 1e-3, 0.2, 0.5, 1e-4, 3.0


# ---------------------------------------------------------------- small parts
def unit(x: Tensor, eps: float = 1e-12) -> Tensor:
    """One vector (D,) divided by its length."""
    return x / torch.clamp((x * x).sum().sqrt(), min=eps)


def unit_rows(x: Tensor) -> Tensor:
    """Every row of (N, D) divided by its length."""
    return torch.stack([unit(row) for row in x])


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of two vectors (D,), a scalar."""
    return (unit(a) * unit(b)).sum()


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """All cosines of the rows of (N, D) with the rows of (M, D): (N, M)."""
    return torch.stack([torch.stack([cosine(x, y) for y in b]) for x in a])


def cross_entropy(logits: Tensor, target: int) -> Tensor:
    """-log softmax(logits)[target] of one row (M,), a scalar."""
    top = logits.max().detach()
    return torch.log(torch.exp(logits - top).sum()) + top - logits[target]


def linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    """`x W^T + b` on the last axis; the bias is optional in the dict."""
    y = x @ weights[f"{name}.weight"].T
    return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Softmax attention of projected (L, D), (S, D), (S, D), heads being consecutive slices of D: (L, D)."""
    dim = query.shape[-1] // heads
    rows = []
    for q in query:
        out = []
        for h in range(heads):
            one = slice(h * dim, (h + 1) * dim)
            scores = torch.stack([(q[one] * k[one]).sum() / math.sqrt(dim) for k in key])
            share = torch.softmax(scores, 0)
            out.append(sum(share[s] * value[s, one] for s in range(len(value))))
        rows.append(torch.cat(out))
    return torch.stack(rows)


def multihead_attention(query: Tensor, memory: Tensor, weights: Weights, heads: int = 8) -> Tensor:
    """Multi-head attention of one sequence: query (L, D), memory (S, D) as keys and values -> (L, D)."""
    w_q, w_k, w_v = weights["in_proj_weight"].chunk(3)
    b_q, b_k, b_v = weights["in_proj_bias"].chunk(3)
    mixed = attend(query @ w_q.T + b_q, memory @ w_k.T + b_k, memory @ w_v.T + b_v, heads)
    return linear(mixed, weights, "out_proj")


# ---------------------------------------------------------------- features
def global_loss(images: Tensor, texts: Tensor, scale: float | Tensor) -> Tensor:
    """Symmetric InfoNCE of unit vectors (B, D), (B, D); `scale` = 1 / tau, 10 at the start: a scalar."""
    total = 0.0
    for i in range(len(images)):
        total = total + cross_entropy(torch.stack([scale * (images[i] * t).sum() for t in texts]), i) / 2
        total = total + cross_entropy(torch.stack([scale * (texts[i] * v).sum() for v in images]), i) / 2
    return total / len(images)


def sentence_gather(tokens: Tensor, ids: Tensor) -> Tensor:
    """Mean token vector of each sentence, not re-normalised: tokens (L, D), ids (L,) from 1, -1 = none -> (S, D)."""
    present = sorted({int(i) for i in ids if i > 0})
    means = []
    for sentence in present:
        members = [tokens[t] for t in range(len(ids)) if ids[t] == sentence]
        means.append(sum(members) / len(members))
    return torch.stack(means)


def pool_report(sentences: Tensor, weights: Weights, heads: int = 8) -> Tensor:
    """Global report vector: the mean sentence attends to itself and all sentences (S, D) -> unit (D,)."""
    sequence = torch.cat([sentences.mean(0, keepdim=True), sentences])
    return unit(multihead_attention(sequence, sequence, weights, heads)[0])


def pool_image(feature_map: Tensor, weights: Weights, heads: int = 8) -> Tensor:
    """CLIP's attention pool of one map (C, H, W) -> (C,) before projection.

    Keys: `positional_embedding` (HW + 1, C) and the linear maps `q_proj`, `k_proj`, `v_proj`, `c_proj`.
    """
    height, width = feature_map.shape[1:]
    cells = torch.stack([feature_map[:, r, c] for r in range(height) for c in range(width)])
    tokens = torch.cat([cells.mean(0, keepdim=True), cells]) + weights["positional_embedding"]
    query, key, value = (linear(tokens, weights, name) for name in ("q_proj", "k_proj", "v_proj"))
    return linear(attend(query[:1], key, value, heads)[0], weights, "c_proj")


def scrambled_tokens(feature_map: Tensor) -> Tensor:
    """Defect D1: the memory of one map (C, H, W), re-read as (HW, C) without a transpose."""
    channels, height, width = feature_map.shape
    flat = [feature_map[c, r, x] for c in range(channels) for r in range(height) for x in range(width)]
    return torch.stack([torch.stack(flat[p * channels : (p + 1) * channels]) for p in range(height * width)])


def cross_attention(patches: Tensor, sentences: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """Sigmoid attention inside one pair: patches (P, D), sentences (S, D) -> f^{R->I} (P, D), f^{I->R} (S, D).

    Linear maps `q1 k1 v1` act on the image, `q2 k2 v2` on the report.
    """

    def look(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        rows = []
        for q in queries:
            gates = [torch.sigmoid((q * k).sum() / math.sqrt(len(q))) for k in keys]
            rows.append(sum(g * v for g, v in zip(gates, values, strict=True)))
        return torch.stack(rows)

    q1, k1, v1 = (linear(patches, weights, name) for name in ("q1", "k1", "v1"))
    q2, k2, v2 = (linear(sentences, weights, name) for name in ("q2", "k2", "v2"))
    return look(q1, k2, v2), look(q2, k1, v1)


def patch_loss(patches: Tensor, conditioned: Tensor, predictor: Weights) -> Tensor:
    """SimSiam of f^I and f^{R->I}, both (B, P, D); predictor maps `0` (D/2, D), ReLU, `2` (D, D/2): a scalar."""

    def h(x: Tensor) -> Tensor:
        return linear(torch.relu(linear(x, predictor, "0")), predictor, "2")

    total, count = 0.0, 0
    for own, other in zip(patches.flatten(0, 1), conditioned.flatten(0, 1), strict=True):
        total = total - (cosine(h(own), other.detach()) + cosine(h(other), own.detach())) / 2
        count += 1
    return total / count


# ---------------------------------------------------------------- online k-means
def initial_centres(rows: Tensor, num_clusters: int, first: int, exclude_chosen: bool = True) -> Tensor:
    """Chain of rows (N, D): each next centre is the row least similar to the last one only -> (K, D).

    The specification does not say whether a row can be taken twice. With repeats the chain ends in a cycle of a few
    rows (2 to 5 of K = 128 on planted groups, ARI 0.02 to 0.1), far below the 0.27 to 0.32 measured there after
    initialisation, so chosen rows are left out.
    """
    if num_clusters > len(rows):
        raise ValueError(f"{num_clusters} centres from {len(rows)} rows")
    chosen, rows = [first], rows.detach()
    while len(chosen) < num_clusters:
        free = [n for n in range(len(rows)) if not (exclude_chosen and n in chosen)]
        chosen.append(min(free, key=lambda n: float(cosine(rows[n], rows[chosen[-1]]))))
    return torch.stack([rows[n] for n in chosen])


def ranked_centres(row: Tensor, centres: Tensor) -> list[int]:
    """Centre numbers from the most to the least similar to one row (D,)."""
    similarity = [float(cosine(row.detach(), centre.detach())) for centre in centres]
    return sorted(range(len(centres)), key=lambda k: -similarity[k])


def updated_centres(rows: Tensor, centres: Tensor, rate: float = RATE) -> Tensor:
    """`rate * SUM of members + (1 - rate) * old`; centres without members stay: (N, D), (K, D) -> (K, D)."""
    owner = [ranked_centres(row, centres)[0] for row in rows]
    new = centres.detach().clone()
    for k in range(len(centres)):
        members = [rows[n].detach() for n in range(len(rows)) if owner[n] == k]
        if members:
            new[k] = rate * sum(members) + (1 - rate) * centres[k].detach()
    return new


def hard_negatives(anchors: Tensor, centres: Tensor) -> Tensor:
    """The centre ranked second by cosine to each anchor (N, D) -> (N, D), detached."""
    return torch.stack([centres[ranked_centres(row, centres)[1]] for row in anchors]).detach()


def false_negative_mask(anchors: Tensor, centres: Tensor) -> Tensor:
    """True where two different anchors (N, D) have the same nearest centre (K, D): (N, N) bool."""
    owner = [ranked_centres(row, centres)[0] for row in anchors]
    size = range(len(owner))
    return torch.tensor([[m != j and owner[m] == owner[j] for j in size] for m in size])


# ---------------------------------------------------------------- report loss
def margin(gap: Tensor, alpha: float, beta: float) -> Tensor:
    """Bidirectional margin of one similarity gap, zero inside [-beta, -alpha]."""
    return torch.relu(gap + alpha) + torch.relu(-gap - beta)


def official_margin_loss(similarity: Tensor, mask: Tensor, alpha: float = ALPHA, beta: float = BETA) -> Tensor:
    """Mean over ALL N x N entries; entries outside the mask have gap zero, so the constant alpha: a scalar."""
    size, total = len(similarity), 0.0
    for m in range(size):
        for j in range(size):
            total = total + margin((similarity[m, j] - similarity[m, m]) * float(mask[m, j]), alpha, beta)
    return total / size**2


def pair_margin_loss(similarity: Tensor, mask: Tensor, alpha: float = ALPHA, beta: float = BETA) -> Tensor:
    """Mean over the false-negative pairs only (our choice, D12); zero without any: a scalar."""
    pairs = [(m, j) for m in range(len(mask)) for j in range(len(mask)) if mask[m, j]]
    if not pairs:
        return similarity.sum() * 0.0
    return sum(margin(similarity[m, j] - similarity[m, m], alpha, beta) for m, j in pairs) / len(pairs)


def plain_report_loss(z1: Tensor, z2: Tensor, temperature: float = 1.0) -> Tensor:
    """One-directional InfoNCE of sentences and image-conditioned sentences (N, D), before clusters exist."""
    similarity = cosines(z1, z2) / temperature
    return sum(cross_entropy(similarity[m], m) for m in range(len(z1))) / len(z1)


def weighted_logits(z1: Tensor, z2: Tensor, negatives: Tensor, hard_weight: float = HARD_WEIGHT) -> Tensor:
    """`[cos(z1, z2) | cos(z1, hard)]` TIMES `[1 | hard_weight * identity]`: (N, 2N)."""
    size = len(z1)
    weight = torch.ones(size, 2 * size, dtype=z1.dtype)
    for m in range(size):
        for j in range(size):
            weight[m, size + j] = hard_weight if m == j else 0.0
    return torch.cat([cosines(z1, z2), cosines(z1, negatives)], dim=1) * weight


def official_contrastive_loss(
    z1: Tensor, z2: Tensor, negatives: Tensor, hard_weight: float = HARD_WEIGHT
) -> Tensor:
    """Cross-entropy of the N x 2N weighted logits with the diagonal of the first block as target: a scalar."""
    logits = weighted_logits(z1, z2, negatives, hard_weight)
    return sum(cross_entropy(logits[m], m) for m in range(len(z1))) / len(z1)


def official_report_loss(z1: Tensor, z2: Tensor, centres: Tensor, hard_weight: float = HARD_WEIGHT) -> Tensor:
    """Steps 5 to 9 of section 1.2 with centres (K, D) already updated: contrastive + 1e-4 * margin, a scalar."""
    contrastive = official_contrastive_loss(z1, z2, hard_negatives(z1, centres), hard_weight)
    return contrastive + BML_WEIGHT * official_margin_loss(cosines(z1, z2), false_negative_mask(z1, centres))


def official_report_step(
    z1: Tensor, z2: Tensor, centres: Tensor | None, num_clusters: int = 128, first: int = 0
) -> tuple[Tensor, Tensor | None]:
    """Steps 1 to 9 on one batch: the loss and the centres after it (None while the mean cosine is above 0.4)."""
    if centres is None:
        start = float(cosines(z1, z2).mean()) <= START_COSINE
        fresh = initial_centres(unit_rows(z2), num_clusters, first) if start else None
        return plain_report_loss(z1, z2), fresh
    centres = updated_centres(unit_rows(z2), centres)
    return official_report_loss(z1, z2, centres), centres


def paper_contrastive_loss(
    z1: Tensor,
    z2: Tensor,
    negatives: Tensor,
    temperature: float | Tensor,
    hard_weight: float = HARD_WEIGHT,
    excluded: Tensor | None = None,
) -> Tensor:
    """L_cl of section 1.1: weight mu on the anchor's own hard negative and 1 on those of other anchors: a scalar.

    `excluded` (N, N) bool are false negatives: their cosine leaves the denominator of their anchor (mode
    `exclude`); every hard negative stays. Only one direction; `mu` acts as an added log-weight.
    """
    total, size = 0.0, len(z1)
    for m in range(size):
        denominator = 0.0
        for j in range(size):
            if excluded is None or not excluded[m, j]:
                denominator = denominator + torch.exp(cosine(z1[m], z2[j]) / temperature)
            mu = hard_weight if j == m else 1.0
            denominator = denominator + mu * torch.exp(cosine(z1[m], negatives[j]) / temperature)
        total = total - torch.log(torch.exp(cosine(z1[m], z2[m]) / temperature) / denominator)
    return total / size
