"""Sample -> sample: window of the training size, then random geometry and intensity."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import affine

from .config import AugmentConfig

# The lowest normalised intensity: air, or the black border of a photograph.
FILL = -1.0


def window(image: np.ndarray, mask: np.ndarray, side_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Cut or pad a slice to a square window: random place where it is larger, centred where it is smaller.

    Args:
        image: (C, H, W) float32 in [-1, 1].
        mask: (H, W) label ids.
        side_px: side of the window.
        rng: source of the place.

    Returns:
        image (C, side_px, side_px) float32, mask (side_px, side_px) int64.
    """
    source, target = zip(*(_place(length, side_px, rng) for length in mask.shape), strict=True)
    out_image = np.full((image.shape[0], side_px, side_px), FILL, np.float32)
    out_mask = np.zeros((side_px, side_px), np.int64)
    out_image[:, target[0], target[1]] = image[:, source[0], source[1]]
    out_mask[target[0], target[1]] = mask[source[0], source[1]]
    return torch.from_numpy(out_image), torch.from_numpy(out_mask)


def augment(image: Tensor, mask: Tensor, config: AugmentConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw one random transform and apply it to image and mask alike; intensities change in the image only."""
    image, mask = _flip(image, mask, config, rng)
    side = image.shape[-1]
    angle = float(rng.uniform(-1, 1)) * config.rotate_degrees
    scale = 1 + float(rng.uniform(-1, 1)) * config.scale
    shift = [round(float(rng.uniform(-1, 1)) * config.translate * side) for _ in range(2)]
    geometry = {"angle": angle, "translate": shift, "scale": scale, "shear": [0.0, 0.0]}
    image = affine(image, interpolation=InterpolationMode.BILINEAR, fill=[FILL] * image.shape[0], **geometry)
    mask = affine(mask[None], interpolation=InterpolationMode.NEAREST, fill=[0.0], **geometry)[0]
    gain = 1 + float(rng.uniform(-1, 1)) * config.gain
    noise = rng.normal(0, config.noise, image.shape).astype(np.float32)
    return (image * gain + torch.from_numpy(noise)).clamp(-1, 1), mask


def _flip(image: Tensor, mask: Tensor, config: AugmentConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    left_right, up_down = rng.random(2) < 0.5
    if left_right and config.flip in ("horizontal", "both"):
        image, mask = image.flip(-1), mask.flip(-1)
    if up_down and config.flip in ("vertical", "both"):
        image, mask = image.flip(-2), mask.flip(-2)
    return image, mask


def _place(length: int, side: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Slices into source and target for one axis."""
    if length >= side:
        start = int(rng.integers(0, length - side + 1))
        return slice(start, start + side), slice(0, side)
    start = (side - length) // 2
    return slice(0, length), slice(start, start + length)
