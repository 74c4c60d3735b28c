"""What several answers for one slab have in common: mean probabilities and how far the answers differ."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .options import MapName


class Members:
    """Running sums over the members of an ensemble (models x views); memory does not grow with their number.

    With p_m the class probabilities of member m and p their mean: entropy H(p) / log K in [0, 1]; mutual information
    (H(p) - mean_m H(p_m)) / log K, the part of it that comes from disagreement (Houlsby et al. 2011); variance
    mean_k var_m(p_m,k); confidence max_k p_k.
    """

    def __init__(self) -> None:
        self.count = 0
        self._probs = torch.empty(0)
        self._entropy = torch.empty(0)
        self._squares = torch.empty(0)

    def add(self, logits: Tensor, *, spread: bool) -> None:
        """Take the logits (B, K, H, W) of one member; `spread` keeps what disagreement needs."""
        probs = logits.softmax(1)
        if spread:
            entropy, squares = torch.special.entr(probs).sum(1), probs.square().sum(1)
            self._entropy = entropy if self.count == 0 else self._entropy + entropy
            self._squares = squares if self.count == 0 else self._squares + squares
        self._probs = probs if self.count == 0 else self._probs.add_(probs)
        self.count += 1

    def mean(self) -> Tensor:
        """Mean probabilities (B, K, H, W); call once, after the last `add`."""
        return self._probs.div_(self.count)

    def map(self, name: MapName, mean: Tensor) -> Tensor:
        """One uncertainty map (B, H, W) of the mean probabilities."""
        scale = math.log(mean.shape[1])
        if name == "confidence":
            return mean.amax(1)
        if name == "entropy":
            return torch.special.entr(mean).sum(1) / scale
        if name == "mutual_information":
            return ((torch.special.entr(mean).sum(1) - self._entropy / self.count) / scale).clamp_min(0)
        return ((self._squares / self.count - mean.square().sum(1)) / mean.shape[1]).clamp_min(0)
