"""Sample -> sample: window of the training size, then random geometry and intensity."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import affine

from .augmentations import UNIT, Range, clinicdb, synapse, transunet
from .config import AugmentConfig

# The lowest normalised intensity: air, or the black border of a photograph.
FILL = -1.0


def window(
    image: np.ndarray, mask: np.ndarray, side_px: int, rng: np.random.Generator, fill: float = FILL
) -> tuple[Tensor, Tensor]:
    """Cut or pad a slice to a square window: random place where it is larger, centred where it is smaller.

    Args:
        image: (C, H, W) float32, normalised.
        mask: (H, W) label ids.
        side_px: side of the window.
        rng: source of the place.
        fill: intensity around a smaller slice.

    Returns:
        image (C, side_px, side_px) float32, mask (side_px, side_px) int64.
    """
    source, target = zip(*(_place(length, side_px, rng) for length in mask.shape), strict=True)
    out_image = np.full((image.shape[0], side_px, side_px), fill, np.float32)
    out_mask = np.zeros((side_px, side_px), np.int64)
    out_image[:, target[0], target[1]] = image[:, source[0], source[1]]
    out_mask[target[0], target[1]] = mask[source[0], source[1]]
    return torch.from_numpy(out_image), torch.from_numpy(out_mask)


def stack_context(image: np.ndarray, z: int, reach: int) -> np.ndarray:
    """A slice with its neighbours as channels (2.5-D): (C, D, H, W) -> (C (2 reach + 1), H, W).

    Channels of the lowest neighbour come first; the outermost slices stand in for those beyond the volume.

    Example:
        >>> stack_context(np.arange(3.0).reshape(1, 3, 1, 1), 0, 1).ravel().tolist()
        [0.0, 0.0, 1.0]
    """
    last = image.shape[1] - 1
    return np.concatenate([image[:, min(max(z + offset, 0), last)] for offset in range(-reach, reach + 1)])


def augment(
    image: Tensor, mask: Tensor, config: AugmentConfig, rng: np.random.Generator, limits: Range = UNIT
) -> tuple[Tensor, Tensor]:
    """Draw one random transform and apply it to image and mask alike; intensities change in the image only.

    Args:
        image: (C, H, W) normalised.
        mask: (H, W) int64 label ids.
        config: which transforms; `config.kind` chooses the set.
        rng: the sample's own generator.
        limits: lowest and highest normalised intensity.
    """
    if config.kind == "none":
        return image, mask
    if config.kind == "synapse":
        return synapse(image, mask, rng, limits, noise_sd=config.noise)
    if config.kind == "clinicdb":
        return clinicdb(image, mask, rng, limits)
    if config.kind == "transunet":
        return transunet(image, mask, rng, limits)
    return _sound(image, mask, config, rng, limits)


def _sound(
    image: Tensor, mask: Tensor, config: AugmentConfig, rng: np.random.Generator, limits: Range
) -> tuple[Tensor, Tensor]:
    image, mask = _flip(image, mask, config, rng)
    side = image.shape[-1]
    angle = float(rng.uniform(-1, 1)) * config.rotate_degrees
    scale = 1 + float(rng.uniform(-1, 1)) * config.scale
    shift = [round(float(rng.uniform(-1, 1)) * config.translate * side) for _ in range(2)]
    geometry = {"angle": angle, "translate": shift, "scale": scale, "shear": [0.0, 0.0]}
    low, high = limits.tensors(image.shape[0])
    image = affine(image, interpolation=InterpolationMode.BILINEAR, fill=low.ravel().tolist(), **geometry)
    mask = affine(mask[None], interpolation=InterpolationMode.NEAREST, fill=[0.0], **geometry)[0]
    gain = 1 + float(rng.uniform(-1, 1)) * config.gain
    noise = torch.from_numpy(rng.normal(0, config.noise, image.shape).astype(np.float32)) * (high - low) / 2
    return (image * gain + noise).clamp(low, high), mask


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
