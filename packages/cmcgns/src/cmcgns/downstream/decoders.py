"""Segmentation decoders on the image tower: U-Net for pyramids, SETR-PUP for transformers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .backbone import FeatureMaps


class UNetDecoder(nn.Module):
    """Upsample the coarsest map step by step, each time joined with the next finer one (Ronneberger et al. 2015)."""

    def __init__(self, maps: FeatureMaps, width: int) -> None:
        super().__init__()
        self.maps = maps
        widths = [width * min(2**i, 8) for i in range(len(maps.channels))]
        self.blocks = nn.ModuleList()
        current = maps.channels[-1]
        for skip, out in zip(maps.channels[-2::-1], widths[-2::-1], strict=True):
            self.blocks.append(_double(current + skip, out))
            current = out
        self.last = nn.Conv2d(current, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images -> logits (B, 1, S, S)."""
        *skips, x = self.maps(images)
        for block, skip in zip(self.blocks, skips[::-1], strict=True):
            x = block(torch.cat([interpolate(x, size=skip.shape[-2:], mode="bilinear"), skip], 1))
        return interpolate(self.last(x), size=images.shape[-2:], mode="bilinear")


class SETRDecoder(nn.Module):
    """Progressive upsampling of a transformer's map: 3x3 convolution, norm, ReLU, x2, with widths 8, 4, 2, 1 x `width`.

    With width 64 the widths are the published 512, 256, 128, 64.
    """

    def __init__(self, maps: FeatureMaps, width: int) -> None:
        super().__init__()
        self.maps = maps
        self.level = 0 if maps.is_pyramid else 1  # a transformer's own map lies between its resized copies
        widths = [maps.channels[self.level], *(width * factor for factor in (8, 4, 2, 1))]
        self.blocks = nn.ModuleList(_single(a, b) for a, b in pairwise(widths))
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images -> logits (B, 1, S, S)."""
        x = self.maps(images)[self.level]
        for block in self.blocks:
            x = block(x)
            if x.shape[-1] < images.shape[-1]:
                x = interpolate(x, scale_factor=2.0, mode="bilinear")
        return interpolate(self.last(x), size=images.shape[-2:], mode="bilinear")


def _single(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU())


def _double(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(*_single(inside, outside), *_single(outside, outside))
