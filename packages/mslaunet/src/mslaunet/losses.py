"""Soft Dice and cross-entropy: logits and labels in, scalars out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._shared.errors import ConfigError, DataError


def identity(sums: Tensor) -> Tensor:
    """The sums of one process are those of the batch."""
    return sums


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over all pixels of -log softmax(logits)[target], in float32 or better.

    Args:
        logits: (B, K, ...) floating point.
        target: (B, ...) int64 in [0, K).

    Returns:
        Scalar >= 0.

    Raises:
        DataError: the shapes do not belong together.
    """
    _check_shapes(logits, target)
    return F.cross_entropy(_precise(logits), target)


def soft_dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    include_background: bool = True,
    smooth: float = 1e-5,
    squared: bool = False,
    per_sample: bool = False,
    reduce: Callable[[Tensor], Tensor] = identity,
) -> Tensor:
    """One minus the mean soft Dice over classes, in float32 or better.

    With p = softmax(logits) and t the one-hot target, both summed over pixels (and over the batch, unless
    `per_sample`): dice = (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth). `squared` has sum(p^2) + sum(t^2)
    below, as the official code does.

    A class that is absent from the target counts: its Dice nears 0 unless its p vanishes.

    Args:
        logits: (B, K, ...) floating point, K >= 2.
        target: (B, ...) int64 in [0, K).
        include_background: count class 0.
        smooth: added above and below; > 0, so that an absent and unpredicted class has Dice 1.
        squared: squares in the denominator.
        per_sample: Dice of every sample, then the mean, instead of one Dice for the whole batch.
        reduce: adds a tensor of sums over all processes, with gradient, so that a batch spread over processes has
            one Dice; not called if `per_sample`.

    Returns:
        Scalar in [0, 1].

    Raises:
        ConfigError: fewer than two classes, or smooth <= 0.
        DataError: the shapes do not belong together.

    Example:
        >>> target = torch.tensor([[0, 1, 1, 2]])
        >>> sure = 100.0 * F.one_hot(target, 3).movedim(-1, 1)
        >>> round(soft_dice_loss(sure, target).item(), 6)
        0.0
    """
    _check_shapes(logits, target)
    if logits.shape[1] < 2:
        raise ConfigError(f"soft Dice needs at least 2 classes, background included, got {logits.shape[1]}")
    if smooth <= 0:
        raise ConfigError(f"smooth must be positive, got {smooth}")
    probs = _precise(logits).softmax(1)
    onehot = F.one_hot(target, logits.shape[1]).movedim(-1, 1).to(probs.dtype)
    size = probs.square() if squared else probs  # a one-hot target is its own square
    sums = torch.stack([(probs * onehot).flatten(2).sum(2), (size + onehot).flatten(2).sum(2)])  # (2, B, K)
    if not per_sample:
        sums = reduce(sums.sum(1))
    intersection, total = sums if include_background else sums[..., 1:]
    return 1 - ((2 * intersection + smooth) / (total + smooth)).mean()


class DiceCELoss(nn.Module):
    """Weighted sum of cross-entropy and soft Dice.

    Args:
        cross_entropy: weight of the cross-entropy.
        dice: weight of the soft Dice loss.
        include_background: see `soft_dice_loss`.
        smooth: see `soft_dice_loss`.
        squared: see `soft_dice_loss`.
        per_sample: see `soft_dice_loss`.
        reduce: see `soft_dice_loss`.

    Example:
        >>> loss = DiceCELoss.official()
        >>> sorted(loss(torch.zeros(2, 9, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)))
        ['cross_entropy', 'dice', 'loss']
    """

    def __init__(
        self,
        cross_entropy: float = 0.4,
        dice: float = 0.6,
        *,
        include_background: bool = True,
        smooth: float = 1e-5,
        squared: bool = False,
        per_sample: bool = False,
        reduce: Callable[[Tensor], Tensor] = identity,
    ) -> None:
        super().__init__()
        self.weights = (cross_entropy, dice)
        self.dice_loss = partial(
            soft_dice_loss,
            include_background=include_background,
            smooth=smooth,
            squared=squared,
            per_sample=per_sample,
            reduce=reduce,
        )

    @classmethod
    def official(cls, *, reduce: Callable[[Tensor], Tensor] = identity) -> DiceCELoss:
        """The official Synapse loss: 0.4 cross-entropy + 0.6 batch Dice, squares below, background counted."""
        return cls(0.4, 0.6, include_background=True, smooth=1e-5, squared=True, reduce=reduce)

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Loss parts of a batch.

        Args:
            logits: (B, K, ...).
            target: (B, ...) int64 in [0, K).

        Returns:
            Scalars "loss" (the weighted sum, to be minimised), "cross_entropy" and "dice" (unweighted).
        """
        ce, dice = cross_entropy(logits, target), self.dice_loss(logits, target)
        return {"loss": self.weights[0] * ce + self.weights[1] * dice, "cross_entropy": ce, "dice": dice}


def _precise(logits: Tensor) -> Tensor:
    """Float32 or better: half-precision sums over pixels lose small classes."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _check_shapes(logits: Tensor, target: Tensor) -> None:
    if logits.ndim < 3 or target.shape != (logits.shape[0], *logits.shape[2:]):
        raise DataError(
            f"expected logits (B, K, ...) and target (B, ...) of the same size, got {tuple(logits.shape)} and "
            f"{tuple(target.shape)}"
        )
