"""The local losses in the form of the official code: what the bench measures ratios against.

Written from the specification alone (its sections 1.2 and 6.1), clean room: one Python call per pair for the attention,
cosines through (N, N, D) and (N, K, D) temporaries, the weights as a Python list. The result is that of
`losses.report_loss(variant="official", false_negatives="bml")`; a check in the bench compares the two.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmcgns.layers import CrossModalAttention

ALPHA, BETA, BML_WEIGHT, HARD_WEIGHT, RATE = 0.2, 0.5, 1e-4, 3.0, 1e-3


def cosine_table(a: Tensor, b: Tensor) -> Tensor:
    """All cosines through a temporary (N, M, D)."""
    return F.cosine_similarity(a[:, None], b[None], dim=-1)


def cross_attention(module: CrossModalAttention, patches: Tensor, reports: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Sigmoid attention, pair by pair."""
    to_patches, to_sentences = [], []
    for own, text in zip(patches, reports, strict=True):
        root = math.sqrt(own.shape[-1])
        to_sentences.append((module.q2(text) @ module.k1(own).T / root).sigmoid() @ module.v1(own))
        to_patches.append((module.q1(own) @ module.k2(text).T / root).sigmoid() @ module.v2(text))
    return torch.stack(to_patches), torch.cat(to_sentences)


def patch_loss(patches: Tensor, conditioned: Tensor, predictor: nn.Module) -> Tensor:
    """SimSiam, both ways."""
    forth = F.cosine_similarity(predictor(patches), conditioned.detach(), dim=-1)
    back = F.cosine_similarity(predictor(conditioned), patches.detach(), dim=-1)
    return -(forth.mean() + back.mean()) / 2


def update_centroids(points: Tensor, centroids: Tensor) -> Tensor:
    """One step, centre by centre."""
    owner = cosine_table(points, centroids).argmax(1)
    new = centroids.clone()
    for k in range(len(centroids)):
        members = points[owner == k]
        if len(members):
            new[k] = RATE * members.sum(0) + (1 - RATE) * centroids[k]
    return new


def farthest_chain(points: Tensor, k: int, first: int = 0) -> Tensor:
    """Seeding, one full row of cosines after the other out of a table (N, N, D)."""
    table = cosine_table(points, points)
    chosen = [first]
    while len(chosen) < k:
        row = table[chosen[-1]].clone()
        row[chosen] = math.inf
        chosen.append(int(row.argmin()))
    return points[chosen]


def report_loss(z1: Tensor, z2: Tensor, centroids: Tensor) -> Tensor:
    """Steps 5 to 9 of section 1.2."""
    count = len(z1)
    similarity = cosine_table(z1, z2)
    with torch.no_grad():
        hard = centroids[cosine_table(z1, centroids).argsort(1, descending=True)[:, 1]]
        nearest = cosine_table(z1, centroids).argmax(1)
        mask = torch.tensor([[float(a == b) for b in nearest.tolist()] for a in nearest.tolist()])
        mask.fill_diagonal_(0)
    weights = torch.tensor(
        [[1.0] * count + [HARD_WEIGHT if i == j else 0.0 for j in range(count)] for i in range(count)]
    )
    logits = torch.cat([similarity, cosine_table(z1, hard)], 1) * weights
    gap = (similarity - similarity.diagonal()[:, None]) * mask
    margins = F.relu(gap + ALPHA) + F.relu(-gap - BETA)
    return F.cross_entropy(logits, torch.arange(count)) + BML_WEIGHT * margins.mean()
