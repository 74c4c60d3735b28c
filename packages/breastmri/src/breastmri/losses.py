"""Scores and labels -> scalar: the cosine-margin sigmoid loss, its family, and the losses it is compared with.

All are called as `loss(scores, labels)`. The paper's values of scale and margin are unknown; the defaults are ours.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._shared.errors import ConfigError, DataError

Reduction = Literal["mean", "sum", "none"]
SoftmaxKind = Literal["normface", "asoftmax", "cosface", "arcface"]


class MarginSigmoidLoss(nn.Module):
    """Sigmoid cross-entropy with cosine margins, the family that holds CMSL, scaled BCE and SphereFace2-C.

    With g(c) = 2 ((c + 1) / 2)^t - 1 (the identity for t = 1), scale s and bias b:

        L = -2 [ lambda y w log sigma(s (g(c) - m_pos) + b) + (1 - lambda) (1 - y) log sigma(-s (g(c) + m_neg) - b) ]

    Defaults reduce to CMSL. m = 0: BCE of s c. lambda, b and t as in SphereFace2 (Wen et al. 2022), whose value this
    is up to a constant factor for one class. Two-class CosFace(s, m) with opposite weights is CMSL(2 s, m / 2).

    Args:
        scale: s > 0.
        margin_pos: m_pos, so that a positive must reach c >= m_pos.
        margin_neg: m_neg, so that a negative must reach c <= -m_neg; None: as m_pos.
        bias: b; "learnable" makes it a parameter that starts at 0.
        pos_weight: w, a number or one per task.
        power_t: t >= 1.
        pos_lambda: lambda in (0, 1).
        reduction: "mean" over the labelled entries, "sum", or "none".
        ignore_index: label of entries without one.

    Raises:
        ConfigError: an argument outside its range.
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        scale: float = 16.0,
        margin_pos: float = 0.2,
        margin_neg: float | None = None,
        *,
        bias: float | Literal["learnable"] = 0.0,
        pos_weight: float | Tensor | None = None,
        power_t: float = 1.0,
        pos_lambda: float = 0.5,
        reduction: Reduction = "mean",
        ignore_index: int = -1,
    ) -> None:
        super().__init__()
        margin_neg = margin_pos if margin_neg is None else margin_neg
        _require(scale > 0 and math.isfinite(scale), f"scale must be positive, got {scale}")
        for name, margin in (("margin", margin_pos), ("margin_neg", margin_neg)):
            _require(0 <= margin < 1, f"{name} must be in [0, 1), got {margin}")
        _require(power_t >= 1, f"power_t must be at least 1, got {power_t}")
        _require(0 < pos_lambda < 1, f"pos_lambda must be in (0, 1), got {pos_lambda}")
        _require(reduction in ("mean", "sum", "none"), f"reduction must be mean, sum or none, got {reduction!r}")
        self.scale, self.margin_pos, self.margin_neg = float(scale), float(margin_pos), float(margin_neg)
        self.power_t, self.pos_lambda = float(power_t), float(pos_lambda)
        self.reduction, self.ignore_index = reduction, ignore_index
        if bias == "learnable":
            self.bias: Tensor | float = nn.Parameter(torch.zeros(()))
        else:
            self.bias = float(bias)
        weight = None if pos_weight is None else torch.as_tensor(pos_weight, dtype=torch.float32)
        self.register_buffer("pos_weight", weight, persistent=False)

    def forward(self, cosines: Tensor, labels: Tensor, *, margin_factor: float | Tensor = 1.0) -> Tensor:
        """Loss of a batch.

        Args:
            cosines: (B, T), or (B,) for one task, in [-1, 1]; half precision is computed in float32.
            labels: of the same shape (or (B,) for T = 1): int, bool or float in [0, 1], or `ignore_index`; a label
                between 0 and 1 mixes the two branches.
            margin_factor: both margins times this, see `margin_ramp`.

        Returns:
            Scalar >= 0 (0 where nothing is labelled), or the shape of `cosines` without reduction.

        Raises:
            DataError: |cosine| > 1 + 1e-4, a label outside [0, 1], or shapes that do not belong together.
        """
        c, y, known = _checked(cosines, labels, self.ignore_index)
        if c.numel() and not bool((c.detach().abs() <= 1 + 1e-4).all()):
            worst = float(c.detach().abs().max())
            raise DataError(f"expected cosines in [-1, 1], got |cosine| {worst:.4g}: give the loss no logits")
        g = c if self.power_t == 1 else 2 * ((c.clamp(-1, 1) + 1) / 2) ** self.power_t - 1
        logit_pos = self.scale * (g - margin_factor * self.margin_pos) + self.bias
        logit_neg = self.scale * (g + margin_factor * self.margin_neg) + self.bias
        weight = 2 * self.pos_lambda * (1 if self.pos_weight is None else self.pos_weight.to(c.dtype))
        # logsigmoid and not softplus: torch's softplus is the identity above 20, which is 1e-9 off
        loss = -y * weight * F.logsigmoid(logit_pos)
        loss = loss - (1 - y) * 2 * (1 - self.pos_lambda) * F.logsigmoid(-logit_neg)
        return _reduce(loss, known, self.reduction)

    def logits(self, scores: Tensor) -> Tensor:
        """Logits of the inference probability, s g(c) + b: without margin."""
        g = scores if self.power_t == 1 else 2 * ((scores.clamp(-1, 1) + 1) / 2) ** self.power_t - 1
        return self.scale * g + self.bias


class CMSLoss(MarginSigmoidLoss):
    """Cosine margin sigmoid loss: -log sigma(s (t cos - m)) with t = +1 for a positive and -1 for a negative.

    The formula is inferred from the paper's abstract and the loss's siblings, see PARITY.md; s and m are our defaults.

    Args:
        scale: s.
        margin: m of positives.
        margin_neg: m of negatives; None: the same. 0 has the margin on positives only.
        pos_weight: weight of positives.
        reduction: "mean" over the labelled entries, "sum" or "none".
        ignore_index: label of entries without one.

    Example:
        >>> loss = CMSLoss(scale=16.0, margin=0.2)
        >>> round(loss(torch.tensor([0.2, -0.2]), torch.tensor([1, 0])).item(), 4)  # both exactly on their margin
        0.6931
    """

    def __init__(
        self,
        scale: float = 16.0,
        margin: float = 0.2,
        margin_neg: float | None = None,
        pos_weight: float | Tensor | None = None,
        reduction: Reduction = "mean",
        ignore_index: int = -1,
    ) -> None:
        super().__init__(
            scale, margin, margin_neg, pos_weight=pos_weight, reduction=reduction, ignore_index=ignore_index
        )


class SigmoidLoss(nn.Module):
    """Binary cross-entropy of logits, focal (Lin et al. 2017) with `gamma` > 0: -(1 - p_t)^gamma log p_t.

    Args:
        gamma: 0 is plain BCE.
        pos_weight: weight of positives.
        reduction: "mean" over the labelled entries, "sum" or "none".
        ignore_index: label of entries without one.

    Example:
        >>> round(SigmoidLoss()(torch.zeros(2), torch.tensor([0, 1])).item(), 4)
        0.6931
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        gamma: float = 0.0,
        pos_weight: float | Tensor | None = None,
        reduction: Reduction = "mean",
        ignore_index: int = -1,
    ) -> None:
        super().__init__()
        _require(gamma >= 0, f"gamma must not be negative, got {gamma}")
        self.gamma, self.reduction, self.ignore_index = gamma, reduction, ignore_index
        weight = None if pos_weight is None else torch.as_tensor(pos_weight, dtype=torch.float32)
        self.register_buffer("pos_weight", weight, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, *, margin_factor: float | Tensor = 1.0) -> Tensor:
        """Loss of logits (B, T) or (B,); labels as for `MarginSigmoidLoss`. There is no margin to ramp."""
        z, y, known = _checked(logits, labels, self.ignore_index)
        weight = 1 if self.pos_weight is None else self.pos_weight.to(z.dtype)
        loss = -y * weight * torch.sigmoid(-z) ** self.gamma * F.logsigmoid(z)
        loss = loss - (1 - y) * torch.sigmoid(z) ** self.gamma * F.logsigmoid(-z)
        return _reduce(loss, known, self.reduction)

    def logits(self, scores: Tensor) -> Tensor:
        """The logits themselves."""
        return scores


class SoftmaxMarginLoss(nn.Module):
    """Two-class softmax over cosines with a margin on the true class, for one binary task.

    Logit of the true class: s cos (NormFace), s psi(theta) with psi(theta) = (-1)^k cos(m theta) - 2 k (A-softmax,
    Liu et al. 2017), s (cos - m) (CosFace, Wang et al. 2018), s cos(theta + m) (ArcFace, Deng et al. 2019; beyond
    pi - m the monotone continuation cos - m sin(pi - m)).

    On cosines, so that head, attribution and precision are those of CMSL; pytorch-metric-learning's classes carry
    their own weights, which they re-type to the embedding's (half) precision outside autocast. Values agree with
    that library, see the tests.

    Args:
        kind: which margin.
        scale: s.
        margin: m: radians for ArcFace, a whole number of times for A-softmax.
        reduction: "mean" over the labelled entries, "sum" or "none".
        ignore_index: label of cases without one.
    """

    def __init__(
        self,
        kind: SoftmaxKind = "cosface",
        scale: float = 16.0,
        margin: float = 0.2,
        reduction: Reduction = "mean",
        ignore_index: int = -1,
    ) -> None:
        super().__init__()
        _require(scale > 0, f"scale must be positive, got {scale}")
        if kind == "asoftmax":
            _require(
                margin >= 1 and margin == int(margin), f"A-softmax multiplies by a whole number, got {margin}"
            )
        else:
            _require(0 <= margin < math.pi / 2, f"margin must be in [0, pi / 2), got {margin}")
        self.kind, self.scale, self.margin = kind, float(scale), float(margin)
        self.reduction, self.ignore_index = reduction, ignore_index

    def forward(self, cosines: Tensor, labels: Tensor, *, margin_factor: float | Tensor = 1.0) -> Tensor:
        """Loss of cosines (B, 2) with the classes no and yes, and labels (B,) or (B, 1) in {0, 1, ignore_index}."""
        if cosines.ndim != 2 or cosines.shape[1] != 2 or labels.numel() != len(cosines):
            raise DataError(
                f"expected cosines (B, 2) and labels (B,), got {tuple(cosines.shape)}, {tuple(labels.shape)}"
            )
        c = cosines.to(torch.promote_types(cosines.dtype, torch.float32))
        known = labels.reshape(-1) != self.ignore_index
        target = labels.reshape(-1).clamp(min=0).long()
        if bool((known & (labels.reshape(-1) != target)).any()) or bool((target > 1).any()):
            raise DataError("expected labels 0 and 1: softmax losses take no soft labels")
        true = c.gather(1, target[:, None])
        # the ramp moves from the plain cosine to the full margin
        shifted = true + margin_factor * (self._with_margin(true) - true)
        logits = self.scale * c.scatter(1, target[:, None], shifted)
        return _reduce(F.cross_entropy(logits, target, reduction="none"), known, self.reduction)

    def _with_margin(self, cosine: Tensor) -> Tensor:
        if self.kind == "cosface":
            return cosine - self.margin
        if self.kind == "normface":
            return cosine
        theta = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))  # its slope is infinite at the ends
        if self.kind == "arcface":
            beyond = cosine - self.margin * math.sin(math.pi - self.margin)
            return torch.where(theta + self.margin <= math.pi, torch.cos(theta + self.margin), beyond)
        k = torch.floor(self.margin * theta / math.pi)
        return (1 - 2 * (k % 2)) * torch.cos(self.margin * theta) - 2 * k

    def logits(self, scores: Tensor) -> Tensor:
        """Log odds of the softmax, s (cos_yes - cos_no), from the difference of the cosines."""
        return self.scale * scores


class CenterLoss(nn.Module):
    """0.5 |f - center_y|^2, mean over the batch (Wen et al. 2016), with learnt centres; it joins another loss.

    Written here because pytorch-metric-learning 2.9 has none.

    Args:
        features: D.
        ignore_index: label of cases without one.
    """

    def __init__(self, features: int, ignore_index: int = -1) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.zeros(2, features))
        self.ignore_index = ignore_index

    def forward(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Loss of an embedding (B, D) with labels (B,) or (B, 1) in {0, 1, ignore_index}."""
        flat = labels.reshape(-1)
        known = flat != self.ignore_index
        f = embedding.to(torch.promote_types(embedding.dtype, torch.float32))
        distance = (f - self.centers.to(f.dtype)[flat.clamp(min=0).long()]).square().sum(1) / 2
        return _reduce(distance, known, "mean")


Loss = MarginSigmoidLoss | SigmoidLoss | SoftmaxMarginLoss


def margin_ramp(step: int | Tensor, ramp_steps: int) -> float | Tensor:
    """Factor of the margin at a step: it grows linearly from 0 to 1 over `ramp_steps`.

    Our choice: the loss starts near s m, which is large for large scales.

    Example:
        >>> margin_ramp(5, 20), margin_ramp(30, 20), margin_ramp(0, 0)
        (0.25, 1.0, 1.0)
    """
    if ramp_steps <= 0:
        return 1.0
    if isinstance(step, Tensor):
        return (step / ramp_steps).clamp(max=1.0)
    return min(1.0, step / ramp_steps)


def smallest_scale(prob: float, margin: float) -> float:
    """Scale that lets a perfect cosine reach a probability despite its margin: ln(P / (1 - P)) / (1 - m).

    Example:
        >>> round(smallest_scale(0.99, 0.2), 2)
        5.74
    """
    return math.log(prob / (1 - prob)) / (1 - margin)


def _checked(scores: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores in float32 or better, labels in that type, and which of them are there."""
    if labels.shape != scores.shape:
        if labels.numel() != scores.numel() or scores.ndim != 2 or scores.shape[1] != 1:
            raise DataError(f"expected labels of shape {tuple(scores.shape)}, got {tuple(labels.shape)}")
        labels = labels.reshape(scores.shape)
    c = scores.to(torch.promote_types(scores.dtype, torch.float32))
    known = labels != ignore_index
    y = labels.to(c.dtype).where(known, torch.zeros((), dtype=c.dtype, device=c.device))
    if not bool(((y >= 0) & (y <= 1)).all()):
        raise DataError(
            f"expected labels in [0, 1] or {ignore_index}, got {float(y.min()):g} to {float(y.max()):g}"
        )
    return c, y, known


def _reduce(loss: Tensor, known: Tensor, reduction: Reduction) -> Tensor:
    loss = loss.where(known, loss.new_zeros(()))
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.sum() / known.sum().clamp(min=1)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def make_loss(kind: str, **settings: Any) -> Loss:
    """Loss of a name: cmsl, sphereface2, bce, focal, normface, asoftmax, cosface or arcface.

    Raises:
        ConfigError: another name.
    """
    if kind == "cmsl":
        return CMSLoss(**settings)
    if kind == "sphereface2":
        return MarginSigmoidLoss(**settings)
    if kind in ("bce", "focal"):
        return SigmoidLoss(**settings)
    if kind in ("normface", "asoftmax", "cosface", "arcface"):
        return SoftmaxMarginLoss(kind, **settings)  # type: ignore[arg-type]
    raise ConfigError(f"expected a loss among {', '.join(LOSSES)}, got {kind!r}")


LOSSES = ("cmsl", "sphereface2", "bce", "focal", "normface", "asoftmax", "cosface", "arcface")
