"""The fixed sets of random transforms of the published pipelines, drawn from each sample's own generator.

Written from their description. Differences that remain: the piecewise affine warp interpolates its 4 x 4 grid of
shifts bilinearly instead of by triangles, and label maps are warped as one-hot maps of the classes present.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

Sample = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Range:
    """Lowest and highest normalised intensity of each channel of the image."""

    low: tuple[float, ...] = (-1.0,)
    high: tuple[float, ...] = (1.0,)

    def tensors(self, channels: int) -> tuple[Tensor, Tensor]:
        """Both ends as (channels, 1, 1); the neighbours of a 2.5-D input repeat the channels of the image."""
        low, high = (
            torch.tensor(values).repeat(channels // len(values))[:, None, None] for values in (self.low, self.high)
        )
        return low, high


UNIT = Range()


def synapse(image: Tensor, mask: Tensor, rng: np.random.Generator, limits: Range, *, noise_sd: float) -> Sample:
    """Up to four of nine transforms in random order, as the official Synapse code.

    Flips (each p 0.5), Gaussian noise, blur (sigma 1), scale U(0.5, 2) per axis, rotation U(-40, 40), shear
    U(-16, 16) degrees, piecewise affine warp, shift U(-0.2, 0.2) per axis. Borders are black and background.

    Args:
        image: (C, H, W) normalised.
        mask: (H, W) int64.
        rng: the sample's generator.
        limits: ends of the intensity range.
        noise_sd: standard deviation of the noise, in units of half the range; intensities are clipped to the range
            unless it is above it, as the official noise is (T4).
    """
    low, high = limits.tensors(image.shape[0])
    for number in rng.permutation(9)[: rng.integers(0, 5)]:
        if number == 0 and rng.random() < 0.5:
            image, mask = image.flip(-2), mask.flip(-2)
        elif number == 1 and rng.random() < 0.5:
            image, mask = image.flip(-1), mask.flip(-1)
        elif number == 2:
            noise = torch.from_numpy(rng.normal(0, noise_sd, image.shape).astype(np.float32)) * (high - low) / 2
            image = image + noise if noise_sd > 1 else (image + noise).clamp(low, high)
        elif number == 3:
            image = gaussian_blur(image, [7, 7], [1.0, 1.0])
        elif number >= 4:
            image, mask = warp(image, mask, _synapse_grid(int(number), mask.shape, rng), low)
    return image, mask


def clinicdb(image: Tensor, mask: Tensor, rng: np.random.Generator, limits: Range) -> Sample:
    """The official set for CVC-ClinicDB.

    Flips (p 0.25 each), scale +-10 % with rotation +-45 degrees and mirrored border (p 0.25), 8 black holes of 8 x 8
    pixels in the image only (p 0.5).
    """
    if rng.random() < 0.25:
        image, mask = image.flip(-1), mask.flip(-1)
    if rng.random() < 0.25:
        image, mask = image.flip(-2), mask.flip(-2)
    low, _ = limits.tensors(image.shape[0])
    if rng.random() < 0.25:
        scale, angle = rng.uniform(0.9, 1.1), math.radians(rng.uniform(-45, 45))
        grid = affine_grid(_rotation(angle) / scale, (0.0, 0.0), mask.shape)
        image, mask = warp(image, mask, grid, low, mirrored=True)
    if rng.random() < 0.5:
        image = image.clone()
        for _ in range(8):
            top, left = (int(rng.integers(0, max(1, length - 8))) for length in mask.shape)
            image[:, top : top + 8, left : left + 8] = low
    return image, mask


def transunet(image: Tensor, mask: Tensor, rng: np.random.Generator, limits: Range) -> Sample:
    """Quarter turns with a flip (p 0.5), or else rotation by up to 20 degrees (p 0.5), as TransUNet."""
    if rng.random() > 0.5:
        turns, axis = int(rng.integers(0, 4)), -1 - int(rng.integers(0, 2))
        return image.rot90(turns, (-2, -1)).flip(axis), mask.rot90(turns, (-2, -1)).flip(axis)
    if rng.random() > 0.5:
        grid = affine_grid(_rotation(math.radians(rng.uniform(-20, 20))), (0.0, 0.0), mask.shape)
        return warp(image, mask, grid, limits.tensors(image.shape[0])[0])
    return image, mask


def warp(image: Tensor, mask: Tensor, grid: Tensor, low: Tensor, *, mirrored: bool = False) -> Sample:
    """Sample image and mask at the places of `grid` (H, W, 2); what lies outside is black and background."""
    padding = "reflection" if mirrored else "zeros"
    moved = F.grid_sample((image - low)[None], grid[None], padding_mode=padding, align_corners=False)[0] + low
    labels = torch.unique(torch.cat([mask.new_zeros(1), mask.reshape(-1)]))  # sorted, background first
    onehot = (mask == labels[:, None, None]).float()
    best = F.grid_sample(onehot[None], grid[None], padding_mode=padding, align_corners=False)[0].argmax(0)
    return moved, labels[best]


def affine_grid(inverse: np.ndarray, shift_px: tuple[float, float], shape: torch.Size | tuple[int, int]) -> Tensor:
    """Grid (H, W, 2) that samples at inverse @ (offset from the centre) - shift; rows of `inverse` are x, y."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    offsets = np.stack([x - (width - 1) / 2, y - (height - 1) / 2], -1)
    places = (offsets - np.array(shift_px, np.float32)) @ inverse.T.astype(np.float32)
    return torch.from_numpy(places / np.array([width / 2, height / 2], np.float32)).float()


def _synapse_grid(number: int, shape: torch.Size, rng: np.random.Generator) -> Tensor:
    height, width = shape
    still = np.eye(2)
    if number == 4:
        return affine_grid(np.diag(1 / rng.uniform(0.5, 2, 2)), (0.0, 0.0), shape)
    if number == 5:
        return affine_grid(_rotation(math.radians(rng.uniform(-40, 40))), (0.0, 0.0), shape)
    if number == 6:
        shear = math.tan(math.radians(rng.uniform(-16, 16)))
        return affine_grid(np.array([[1, shear], [0, 1]]), (0.0, 0.0), shape)
    if number == 7:
        sd = rng.uniform(0.008, 0.03)
        shifts = torch.from_numpy(rng.normal(0, 2 * sd, (1, 2, 4, 4)).astype(np.float32))
        bent = F.interpolate(shifts, size=(height, width), mode="bilinear", align_corners=True)[0]
        return affine_grid(still, (0.0, 0.0), shape) + bent.permute(1, 2, 0)
    x, y = rng.uniform(-0.2, 0.2, 2)
    return affine_grid(still, (x * width, y * height), shape)


def _rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
