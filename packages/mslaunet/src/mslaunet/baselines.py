"""What a trained network has to beat: trivial answers, and a MONAI UNet of similar cost."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn


class AllBackground(nn.Module):
    """Answers background everywhere: logits (B, K, H, W) that are 1 for class 0."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K, H, W)."""
        logits = image.new_zeros(image.shape[0], self.num_classes, *image.shape[-2:])
        logits[:, 0] = 1
        return logits


class NearestMeanIntensity(nn.Module):
    """Gives each pixel the class whose mean intensity in the training slices is nearest.

    Logit of class k (our choice): -(x - mean_k)^2 summed over channels.
    """

    means: Tensor

    def __init__(self, means: Tensor) -> None:
        super().__init__()
        self.register_buffer("means", means)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K, H, W)."""
        return -((image[:, None] - self.means[None, :, :, None, None]) ** 2).sum(2)


def fit_nearest_mean(slices: Iterable[tuple[np.ndarray, np.ndarray]], num_classes: int) -> NearestMeanIntensity:
    """Mean normalised intensity of each class over (image (C, H, W), mask (H, W)) pairs; absent classes never win."""
    total: np.ndarray | None = None
    count = np.zeros(num_classes)
    for image, mask in slices:
        sums = np.stack([np.bincount(mask.ravel(), plane.ravel(), num_classes) for plane in image])
        total = sums if total is None else total + sums
        count += np.bincount(mask.ravel(), minlength=num_classes)
    if total is None:
        raise ValueError("no slice to take means from")
    means = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    return NearestMeanIntensity(torch.from_numpy(means.T.astype(np.float32)))


def monai_unet(*, in_channels: int, num_classes: int, channels: tuple[int, ...] = (20, 40, 80, 160)) -> nn.Module:
    """MONAI's 2-D residual UNet with two residual units per level; sides must be multiples of 2^(levels - 1)."""
    from monai.networks.nets.unet import UNet

    return UNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=num_classes,
        channels=channels,
        strides=(2,) * (len(channels) - 1),
        num_res_units=2,
        norm="batch",
    )


class PadToMultiple(nn.Module):
    """Lets a network that needs sides of a multiple take any size: pad by replication, crop the logits back."""

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network, self.multiple = network, multiple

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K, H, W)."""
        height, width = image.shape[-2:]
        pad = (0, -width % self.multiple, 0, -height % self.multiple)
        return self.network(nn.functional.pad(image, pad, mode="replicate"))[..., :height, :width]
