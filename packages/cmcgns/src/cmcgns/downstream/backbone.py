"""The pretrained image tower as maps of several strides."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..towers import ImageTower


class FeatureMaps(nn.Module):
    """Maps (B, C_i, S / stride_i, S / stride_i) of an image tower, finest first.

    A tower with stages of several strides gives the map of each. One of a single stride, such as a plain transformer,
    gives its last map at half, the same and twice that stride, as in a simple feature pyramid (ViTDet).

    Attributes:
        channels: C_i.
        strides: pixels per cell.
        levels: numbers of the three coarsest maps of different strides, for detection; dilated networks have several
            maps of one stride, of which the last counts.
        frozen: no gradient reaches the tower and its norm statistics stay.
    """

    net: Any

    def __init__(self, tower: ImageTower, *, frozen: bool) -> None:
        super().__init__()
        self.net, self.frozen, self.side_px = tower.net, frozen, tower.side_px
        self.requires_grad_(not frozen)
        with torch.no_grad():
            self.net.eval()
            probe = torch.zeros(1, 3, self.side_px, self.side_px)
            stages = self.net.forward_intermediates(probe, intermediates_only=True)
            self.is_pyramid = len({stage.shape[-1] for stage in stages}) > 1
            maps = self(probe)
        self.train()
        self.channels = [m.shape[1] for m in maps]
        self.strides = [self.side_px // m.shape[-1] for m in maps]
        self.levels = sorted({stride: level for level, stride in enumerate(self.strides)}.values())[-3:]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 1 or 3, S, S) in [-1, 1] -> maps."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            given = images.expand(-1, 3, -1, -1)
            if self.is_pyramid:
                return list(self.net.forward_intermediates(given, intermediates_only=True))
            last = self.net.forward_intermediates(given, indices=1, intermediates_only=True, norm=True)[-1]
            return [interpolate(last, scale_factor=s, mode="bilinear") if s != 1 else last for s in (2.0, 1, 0.5)]

    def train(self, mode: bool = True) -> FeatureMaps:
        """A frozen tower stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.net.eval()
        return self


class Pyramid(nn.Module):
    """The maps of `FeatureMaps.levels` with one width: 1x1 lateral maps and top-down sums (FPN), 3x3 smoothing.

    Attributes:
        out_channels: width, under the name that torchvision's detectors read.
        strides: of the maps.
    """

    def __init__(self, maps: FeatureMaps, width: int) -> None:
        super().__init__()
        self.maps, self.out_channels = maps, width
        self.strides = [maps.strides[level] for level in maps.levels]
        self.lateral = nn.ModuleList(nn.Conv2d(maps.channels[level], width, 1) for level in maps.levels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in maps.levels)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images -> maps by level, finest first."""
        every = self.maps(images)
        found = [layer(every[level]) for layer, level in zip(self.lateral, self.maps.levels, strict=True)]
        for level in reversed(range(len(found) - 1)):
            found[level] = found[level] + interpolate(
                found[level + 1], size=found[level].shape[-2:], mode="nearest"
            )
        return {str(i): layer(m) for i, (layer, m) in enumerate(zip(self.smooth, found, strict=True))}
