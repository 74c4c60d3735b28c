"""The cluster-guided contrast of sentences: hard negatives and false negatives from one clustering."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .._shared.errors import ConfigError, DataError
from ..cluster import assign, nearest_two
from .rows import require_pairs, sum_over_rows

FalseNegatives = Literal["keep", "exclude", "downweight", "bml", "soft-positive"]
OFFICIAL_BML_WEIGHT = 1e-4


class _Guide(NamedTuple):
    """What the clusters say about the N sentences.

    Attributes:
        group: (N,) nearest centre; two sentences of one group are false negatives of each other.
        hard: (M, D) unit vectors that serve as hard negatives.
        choice: (N,) row of `hard` that is the hard negative of each sentence.
        uses: (M,) how many sentences chose each row.
    """

    group: Tensor
    hard: Tensor
    choice: Tensor
    uses: Tensor


def report_loss(
    z1: Tensor,
    z2: Tensor,
    centroids: Tensor | None,
    variant: Literal["paper", "official"] = "paper",
    hard_weight: float = 3.0,
    temperature: float | Tensor = 1.0,
    false_negatives: FalseNegatives = "keep",
    *,
    symmetric: bool = False,
    hard_negatives: Literal["centre", "sentence", "none"] = "centre",
    assign_space: Literal["text", "cross", "mean"] = "text",
    false_negative_weight: float = 0.1,
    bml_weight: float | None = None,
    alpha: float = 0.2,
    beta: float = 0.5,
    rows: Tensor | None = None,
) -> Tensor:
    """Contrast N sentences with their cross-modal counterparts, guided by clusters (section 1.1, L_local_report).

    With s_mj = cos(z1_m, z2_j) / tau and h_mj = cos(z1_m, c_j) / tau, c_j being the hard negative of sentence j:

    - "paper": -mean_m [s_mm - log sum_j (w_mj e^{s_mj} + mu_mj e^{h_mj})], mu_mm = `hard_weight`, else 1: the hard
      negatives of other anchors are ordinary ones.
    - "official" (section 1.2): mean_m [logsumexp(s_m., `hard_weight` h_mm, log(N - 1)) - s_mm]: the weight multiplies
      the cosine, and the hard negatives of others become N - 1 constants of logit 0.

    False negatives of m are the other sentences of its cluster. "keep": w = 1. "exclude": w = 0. "downweight":
    w = `false_negative_weight`. "bml": w = 1 and `bml_weight` times `bml` is added. "soft-positive": w = 1, and
    `false_negative_weight` of the target is shared out among them. "official" takes keep and bml, its own way.

    Args:
        z1: (N, D) sentences; only directions count.
        z2: (N, D) image-conditioned sentences, row m belongs to row m of `z1`.
        centroids: (K, D), K of at least 2; None (clusters not started): plain InfoNCE of the sentences.
        variant: see above.
        hard_weight: mu > 0.
        temperature: tau.
        false_negatives: see above.
        symmetric: average with the loss of z2 against z1.
        hard_negatives: the centre second nearest to the sentence, the most similar z2 of that centre's cluster (the
            centre, if it has none), or none.
        assign_space: whose nearest centres count: z1, z2, or the mean direction of both.
        false_negative_weight: in (0, 1).
        bml_weight: default 1, and 1e-4 for "official".
        alpha: see `bml`.
        beta: see `bml`.
        rows: anchors to sum over, as several ranks share them; the results of all ranks then add up to the loss.

    Returns:
        A scalar. Memory grows with N D + N K, not with N^2.

    Raises:
        DataError: the shapes differ.
        ConfigError: options that exclude each other.

    Example:
        >>> z = torch.eye(3)
        >>> round(float(report_loss(z, z, z, variant="official")), 4)  # log(e + 1 + 1 + e^0 + 2) - 1
        1.0436
    """
    require_pairs(z1, z2, "report_loss")
    _check(variant, false_negatives, hard_weight, hard_negatives, centroids)
    text, cross = F.normalize(z1, dim=-1), F.normalize(z2, dim=-1)
    guide = None if centroids is None else _guide(text, cross, centroids.detach(), hard_negatives, assign_space)

    def one_way(anchors: Tensor, keys: Tensor) -> Tensor:
        def loss(part: Tensor) -> Tensor:
            logits = anchors[part] @ keys.T / temperature
            if guide is None:
                return F.cross_entropy(logits, part, reduction="sum")
            hard = anchors[part] @ guide.hard.T / temperature
            if variant == "official":
                return _official(logits, hard, part, guide, hard_weight)
            weights = (hard_weight if hard_negatives != "none" else 0.0, false_negative_weight)
            return _paper(logits, hard, part, guide, weights, false_negatives)

        return sum_over_rows(loss, rows, len(anchors), anchors.device) / len(anchors)

    result = one_way(text, cross)
    if symmetric:
        result = (result + one_way(cross, text)) / 2
    if guide is not None and false_negatives == "bml":
        weight = bml_weight if bml_weight is not None else OFFICIAL_BML_WEIGHT if variant == "official" else 1.0
        over = "all" if variant == "official" else "pairs"
        result = result + weight * _group_bml(text, cross, guide.group, alpha, beta, over, rows)
    return result


def bml(
    z1: Tensor,
    z2: Tensor,
    mask: Tensor,
    alpha: float = 0.2,
    beta: float = 0.5,
    *,
    over: Literal["pairs", "all"] = "pairs",
) -> Tensor:
    """Bidirectional margin loss of false negatives (ClusterNS, Deng et al. 2023; section 1.1, L_bml).

    With Delta_mj = cos(z1_m, z2_j) - cos(z1_m, z2_m): the mean over masked pairs of relu(Delta + alpha) +
    relu(-Delta - beta), which pushes Delta into [-beta, -alpha]. `over` "all" is the official mean over all N x N
    entries, in which every pair outside the mask adds the constant relu(alpha) + relu(-beta) and no gradient.

    Args:
        z1: (N, D); only directions count.
        z2: (N, D).
        mask: (N, N) bool, True at false negatives.
        alpha: smallest gap.
        beta: largest gap.
        over: the entries that are averaged.

    Returns:
        A scalar; 0 if no pair is masked.

    Raises:
        DataError: the shapes differ.

    Example:
        >>> z = torch.eye(2)
        >>> float(bml(z, z, ~torch.eye(2, dtype=torch.bool)))  # the gap is -1, 0.5 beyond -beta
        0.5
    """
    require_pairs(z1, z2, "bml")
    if mask.shape != (len(z1), len(z1)):
        raise DataError(f"bml: expected a mask {(len(z1), len(z1))}, got {tuple(mask.shape)}")
    text, cross = F.normalize(z1, dim=-1), F.normalize(z2, dim=-1)

    def loss(part: Tensor) -> Tensor:
        return _margins(text, cross, part, mask[part].bool(), alpha, beta)

    total = sum_over_rows(loss, None, len(text), text.device)
    return _average(total, mask.bool().sum(), len(text), alpha, beta, over)


def false_negative_groups(z1: Tensor, z2: Tensor, centroids: Tensor, assign_space: str = "text") -> Tensor:
    """Cluster of every sentence, (N,) int64, in the space asked for."""
    return assign(_place(F.normalize(z1, dim=-1), F.normalize(z2, dim=-1), assign_space), centroids)


def _check(
    variant: str, false_negatives: str, hard_weight: float, hard_negatives: str, centroids: Tensor | None
) -> None:
    if variant not in ("paper", "official"):
        raise ConfigError(f"variant: expected paper or official, got {variant!r}")
    if false_negatives not in ("keep", "exclude", "downweight", "bml", "soft-positive"):
        raise ConfigError(
            f"false_negatives: expected keep, exclude, downweight, bml or soft-positive, got {false_negatives!r}"
        )
    if hard_weight <= 0:
        raise ConfigError(f"hard_weight: expected more than 0, got {hard_weight}; use hard_negatives='none'")
    if variant == "official" and (false_negatives not in ("keep", "bml") or hard_negatives != "centre"):
        raise ConfigError("variant official has hard_negatives centre and false_negatives keep or bml only")
    if centroids is not None and (centroids.ndim != 2 or len(centroids) < 2):
        raise ConfigError(f"centroids: expected (K, D) with K of at least 2, got {tuple(centroids.shape)}")


def _place(text: Tensor, cross: Tensor, space: str) -> Tensor:
    return {"text": text, "cross": cross, "mean": text + cross}[space].detach()


def _guide(text: Tensor, cross: Tensor, centroids: Tensor, kind: str, space: str) -> _Guide:
    """Groups and hard negatives of all sentences."""
    nearest, second = nearest_two(_place(text, cross, space), centroids)
    hard, choice = F.normalize(centroids, dim=-1), second
    if kind == "sentence":
        mined = _mine(text.detach(), cross.detach(), nearest, second)
        choice = torch.where(mined >= 0, mined + len(hard), choice)
        hard = torch.cat([hard, cross.detach()])
    return _Guide(nearest, hard, choice, torch.bincount(choice, minlength=len(hard)))


def _mine(text: Tensor, cross: Tensor, nearest: Tensor, second: Tensor) -> Tensor:
    """Most similar z2 among the sentences of the second cluster of each anchor, (N,); -1 where it is empty."""
    found = []
    for part in torch.arange(len(text), device=text.device).split(1024):
        elsewhere = second[part][:, None] != nearest[None]
        best, index = (text[part] @ cross.T).masked_fill(elsewhere, -math.inf).max(1)
        found.append(torch.where(best.isfinite(), index, -1))
    return torch.cat(found)


def _paper(
    logits: Tensor, hard: Tensor, part: Tensor, guide: _Guide, weights: tuple[float, float], mode: str
) -> Tensor:
    """Summed loss of some anchors: logits (c, N) and hard (c, M), over the temperature."""
    hard_weight, share = weights
    positive = logits.gather(1, part[:, None])[:, 0]
    target = positive
    if mode in ("exclude", "downweight", "soft-positive"):
        twins = _twins(guide.group, part)
        if mode == "exclude":
            logits = logits.masked_fill(twins, -math.inf)
        elif mode == "downweight":
            logits = logits + math.log(share) * twins
        else:
            count = twins.sum(1)
            mean = torch.where(twins, logits, 0.0).sum(1) / count.clamp_min(1)
            target = torch.where(count > 0, (1 - share) * positive + share * mean, positive)
    denominator = logits.logsumexp(1)
    if hard_weight > 0:
        # The N hard negatives repeat M rows: each row counts as often as it was chosen, the own one hard_weight times.
        chosen = guide.uses.to(hard.dtype).expand(len(part), -1).clone()
        chosen.scatter_add_(1, guide.choice[part][:, None], chosen.new_full((len(part), 1), hard_weight - 1))
        denominator = torch.logaddexp(denominator, (hard + chosen.log()).logsumexp(1))
    return (denominator - target).sum()


def _official(logits: Tensor, hard: Tensor, part: Tensor, guide: _Guide, hard_weight: float) -> Tensor:
    """Summed loss of some anchors in the closed form of section 1.2."""
    positive = logits.gather(1, part[:, None])[:, 0]
    own = hard_weight * hard.gather(1, guide.choice[part][:, None])[:, 0]
    constants = math.log(logits.shape[1] - 1) if logits.shape[1] > 1 else -math.inf
    rest = torch.logaddexp(own, torch.full_like(own, constants))
    return (torch.logaddexp(logits.logsumexp(1), rest) - positive).sum()


def _twins(group: Tensor, part: Tensor) -> Tensor:
    """(c, N) bool: the other sentences of each anchor's cluster."""
    twins = group[part][:, None] == group[None]
    return twins.scatter(1, part[:, None], False)


def _margins(text: Tensor, cross: Tensor, part: Tensor, mask: Tensor, alpha: float, beta: float) -> Tensor:
    """Summed margins of some anchors over their masked pairs."""
    similarity = text[part] @ cross.T
    gap = similarity - similarity.gather(1, part[:, None])
    return torch.where(mask, F.relu(gap + alpha) + F.relu(-gap - beta), 0.0).sum()


def _group_bml(
    text: Tensor, cross: Tensor, group: Tensor, alpha: float, beta: float, over: str, rows: Tensor | None
) -> Tensor:
    """`bml` with the pairs of equal groups as mask, which is never made whole."""

    def loss(part: Tensor) -> Tensor:
        return _margins(text, cross, part, _twins(group, part), alpha, beta)

    sizes = torch.bincount(group)
    count = (sizes * (sizes - 1)).sum()
    share = 1.0 if rows is None else len(rows) / len(text)
    return _average(sum_over_rows(loss, rows, len(text), text.device), count, len(text), alpha, beta, over, share)


def _average(
    total: Tensor, pairs: Tensor, size: int, alpha: float, beta: float, over: str, share: float = 1.0
) -> Tensor:
    if over == "pairs":
        return total / pairs.clamp_min(1)
    constant = max(alpha, 0.0) + max(-beta, 0.0)
    return (total + share * constant * (size**2 - pairs.to(total.dtype))) / size**2
