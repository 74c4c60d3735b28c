"""Photos as latents, and what the UNet takes in."""

from __future__ import annotations

from typing import Literal

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F


def encode(vae: AutoencoderKL, image: Tensor, noise: Tensor | None = None) -> Tensor:
    """Latents of photos, scaled to about unit variance.

    Args:
        vae: of the base.
        image: (B, 3, H, W) in [-1, 1].
        noise: (B, 4, h, w) standard normal draws a sample; None takes the mode.
    """
    distribution = vae.encode(image).latent_dist
    latents: Tensor = distribution.mean if noise is None else distribution.mean + distribution.std * noise
    return latents * vae.config.scaling_factor


def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Photos (B, 3, H, W) in [-1, 1] of latents (B, 4, h, w)."""
    image: Tensor = vae.decode(latents / vae.config.scaling_factor).sample
    return image.clamp(-1, 1)


def small_mask(keep: Tensor, size: tuple[int, int], resample: Literal["nearest", "bilinear"]) -> Tensor:
    """The keep mask at the size of the latents; (B, 1, H, W) -> (B, 1, h, w)."""
    if resample == "nearest":
        return F.interpolate(keep, size=size, mode="nearest-exact")
    return F.interpolate(keep, size=size, mode="bilinear", align_corners=False)


def unet_input(noisy: Tensor, masked: Tensor, keep: Tensor) -> Tensor:
    """The nine channels in Paint-by-Example's order: noisy latents, latents of the masked photo, keep mask (1 = keep).

    Stable Diffusion's own inpainting has the mask before the masked photo, and 1 where it repaints.

    Args:
        noisy: (B, 4, h, w).
        masked: (B, 4, h, w).
        keep: (B, 1, h, w).
    """
    return torch.cat([noisy, masked, keep], dim=1)
