"""Losses of the methods that CM-CGNS is compared with, on the same features: ConVIRT, GLoRIA, MGCA."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..ragged import Ragged
from .contrast import info_nce


def convirt_loss(
    images: Tensor,
    reports: Tensor,
    temperature: float = 0.1,
    image_weight: float = 0.75,
    *,
    rows: Tensor | None = None,
) -> Tensor:
    """ConVIRT (Zhang et al. 2022): InfoNCE with a fixed temperature, image -> report weighted 3 : 1.

    Args:
        images: (B, D).
        reports: (B, D).
        temperature: tau.
        image_weight: lambda, weight of the direction image -> report; the other has 1 - lambda.
        rows: see `info_nce`.

    Example:
        >>> round(float(convirt_loss(torch.eye(2), torch.eye(2))), 6)
        4.5e-05
    """
    return info_nce(images, reports, 1 / temperature, rows=rows, weights=(image_weight, 1 - image_weight))


def gloria_scores(
    patches: Tensor, sentences: Ragged, attention_scale: float = 4.0, pooling_scale: float = 5.0
) -> Tensor:
    """Local similarity of every image with every report, as in GLoRIA (Huang et al. 2021), sentences in place of words.

    Sentence n looks at the patches of image i with softmax_p(attention_scale cos(s_n, v_ip)), sees c_in, and

        score(i, j) = log sum_{n in report j} exp(pooling_scale cos(c_in, s_n)).

    This attention is between all images and all sentences, quadratic in the batch; one image is done at a time.

    Args:
        patches: (B', P, D) unit vectors of some images.
        sentences: unit vectors of all B reports, N rows.
        attention_scale: 1 / temperature of the attention.
        pooling_scale: 1 / temperature of the pooling over sentences.

    Returns:
        (B', B); multiply by a scale before `score_contrast`.
    """
    owners, texts = sentences.owners(), sentences.values

    def one_image(cells: Tensor) -> Tensor:
        weights = (attention_scale * texts @ cells.T).softmax(-1)
        similarity = pooling_scale * F.cosine_similarity(weights @ cells, texts, dim=-1)
        total = texts.new_zeros(len(sentences.counts)).index_add(0, owners, (similarity - pooling_scale).exp())
        return total.log() + pooling_scale

    return torch.stack([checkpoint(one_image, cells, use_reentrant=False) for cells in patches])


def within_pair_contrast(own: Ragged, other: Tensor, scale: float = 10.0) -> Tensor:
    """MGCA's token-wise alignment (Wang et al. 2022) with equal token weights: InfoNCE among the parts of one pair.

    Part m of a pair is contrasted with its cross-modal counterpart against those of the same pair, both ways; mean over
    the parts of a pair.

    Args:
        own: (N, D) rows (patches or sentences) of B pairs.
        other: (N, D) their cross-modal counterparts.
        scale: 1 / temperature.

    Returns:
        (B,) loss of each pair; 0 where it has one part.

    Example:
        >>> rows = Ragged(torch.eye(2), torch.tensor([1, 1]))
        >>> within_pair_contrast(rows, torch.eye(2)).tolist()
        [0.0, 0.0]
    """
    mine, real = Ragged(F.normalize(own.values, dim=-1), own.counts).padded()
    theirs, _ = Ragged(F.normalize(other, dim=-1), own.counts).padded()
    logits = scale * mine @ theirs.transpose(1, 2)
    target = torch.arange(real.shape[1], device=real.device).expand(len(real), -1)
    forth = F.cross_entropy(
        logits.masked_fill(~real[:, None], -1e9).flatten(0, 1), target.flatten(), reduction="none"
    )
    back = F.cross_entropy(
        logits.transpose(1, 2).masked_fill(~real[:, None], -1e9).flatten(0, 1), target.flatten(), reduction="none"
    )
    loss = ((forth + back) / 2).reshape(real.shape)
    return torch.where(real, loss, 0.0).sum(1) / own.counts


def prototype_loss(
    images: Tensor, reports: Tensor, prototypes: Tensor, temperature: float = 0.2, epsilon: float = 0.05
) -> Tensor:
    """MGCA's cross-modal prototype alignment: each side predicts the other's Sinkhorn assignment to C prototypes.

    Args:
        images: (B, D) of the whole batch; only directions count.
        reports: (B, D).
        prototypes: (C, D) learned.
        temperature: of the predictions.
        epsilon: of the Sinkhorn assignment.

    Returns:
        A scalar.
    """
    unit = F.normalize(prototypes, dim=-1)
    image_scores, report_scores = (F.normalize(side, dim=-1) @ unit.T for side in (images, reports))
    loss = image_scores.new_zeros(())
    for scores, other in ((image_scores, report_scores), (report_scores, image_scores)):
        wanted = _sinkhorn(other.detach() / epsilon)
        loss = loss - (wanted * (scores / temperature).log_softmax(1)).sum(1).mean() / 2
    return loss


def _sinkhorn(logits: Tensor, iterations: int = 3) -> Tensor:
    """Assignment (B, C) with rows that sum to 1 and columns of about equal weight (Cuturi 2013), in the log domain."""
    for _ in range(iterations):
        logits = logits - logits.logsumexp(0, keepdim=True)
        logits = logits - logits.logsumexp(1, keepdim=True)
    return logits.exp()
