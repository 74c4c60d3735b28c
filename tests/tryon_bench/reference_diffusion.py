"""Paint-by-Example with a ControlNet from its published description, part by part from plain diffusers and PIL.

Nothing of the package is used: photos come in as PIL's pictures, networks are loaded by diffusers' own classes, the
exemplar encoder is that of its deprecated pipeline, samples are computed one by one, guidance is two separate passes.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel, UniPCMultistepScheduler
from PIL import Image, ImageOps
from torch import Tensor
from transformers import CLIPVisionConfig
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

_ENCODER = "diffusers.pipelines.deprecated.paint_by_example.image_encoder"


@dataclass
class Networks:
    """Plain classes of diffusers."""

    vae: Any
    unet: Any
    controlnet: Any
    encoder: Any


def load_networks(base: Path, controlnet: Path) -> Networks:
    """From folders, by `from_pretrained`."""
    encoder, folder = importlib.import_module(_ENCODER).PaintByExampleImageEncoder, base / "image_encoder"
    return Networks(
        AutoencoderKL.from_pretrained(base, subfolder="vae").eval(),
        UNet2DConditionModel.from_pretrained(base, subfolder="unet").eval(),
        ControlNetModel.from_pretrained(controlnet).eval(),
        encoder.from_pretrained(folder, config=CLIPVisionConfig.from_pretrained(folder)).eval(),
    )


def alpha_bar(t: int) -> float:
    """Product of 1 - beta up to step t; roots of beta go from 0.00085 to 0.012 in a straight line."""
    product = 1.0
    for step in range(t + 1):
        root = 0.00085**0.5 + (0.012**0.5 - 0.00085**0.5) * step / 999
        product *= 1 - root**2
    return product


def photo_tensor(photo: Image.Image) -> Tensor:
    """(1, 3, H, W) in [-1, 1]."""
    return torch.tensor(np.asarray(photo, np.float32) / 127.5 - 1).permute(2, 0, 1)[None]


def exemplar_tensor(garment: Image.Image, side: int) -> Tensor:
    """(1, 3, side, side): scaled as a whole, padded to a square with white, CLIP's mean and deviation."""
    square = ImageOps.pad(garment, (side, side), Image.Resampling.LANCZOS, color=(255, 255, 255))
    values = np.asarray(square, np.float32) / 255
    return torch.tensor((values - OPENAI_CLIP_MEAN) / OPENAI_CLIP_STD).float().permute(2, 0, 1)[None]


def hint_tensor(garment: Image.Image, densepose: Image.Image) -> Tensor:
    """(1, 6, H, W): the garment, then DensePose, both in [-1, 1] and of the photo's size."""
    return torch.cat([photo_tensor(garment), photo_tensor(densepose)], dim=1)


def conditions(networks: Networks, photo: Tensor, keep: Tensor) -> Tensor:
    """(1, 5, h, w): latents of the photo with gray in its hole, and the keep mask at each latent's centre."""
    factor = photo.shape[2] // networks.vae.encode(photo).latent_dist.mean.shape[2]
    masked = networks.vae.encode(photo * keep).latent_dist.mode() * networks.vae.config.scaling_factor
    return torch.cat([masked, keep[:, :, factor // 2 :: factor, factor // 2 :: factor]], dim=1)


def predicted(networks: Networks, latents: Tensor, t: int, token: Tensor, hint: Tensor) -> Tensor:
    """Noise; ControlNet and UNet are given the same nine channels and the same token."""
    time = torch.tensor([t])
    down, middle = networks.controlnet(latents, time, token, hint, return_dict=False)
    return networks.unet(
        latents, time, token, down_block_additional_residuals=down, mid_block_additional_residual=middle
    ).sample


@torch.no_grad()
def training_loss(
    networks: Networks, photo: Tensor, keep: Tensor, ref: Tensor, hint: Tensor, drawn: dict[str, Any]
) -> float:
    """Mean squared error of the noise of one sample.

    Args:
        networks: see `load_networks`.
        photo: (1, 3, H, W).
        keep: (1, 1, H, W).
        ref: (1, 3, S, S).
        hint: (1, C, H, W).
        drawn: `noise`, `vae_noise` (1, 4, h, w), `t`, `drop`, `drop_hint`.
    """
    posterior = networks.vae.encode(photo).latent_dist
    clean = (posterior.mean + posterior.std * drawn["vae_noise"]) * networks.vae.config.scaling_factor
    share = alpha_bar(drawn["t"])
    noisy = share**0.5 * clean + (1 - share) ** 0.5 * drawn["noise"]
    token, nothing = networks.encoder(ref, return_uncond_vector=True)
    answer = predicted(
        networks,
        torch.cat([noisy, conditions(networks, photo, keep)], dim=1),
        drawn["t"],
        nothing if drawn["drop"] else token,
        torch.zeros_like(hint) if drawn["drop_hint"] else hint,
    )
    return float(((answer - drawn["noise"]) ** 2).mean())


@torch.no_grad()
def sampled(
    networks: Networks,
    scheduler: str,
    steps: int,
    guidance: float,
    inputs: tuple[Tensor, Tensor, Tensor, Tensor],
    noise: Tensor,
) -> Tensor:
    """(3, H, W) in [0, 1] of photo, keep, ref and hint, each of one sample."""
    photo, keep, ref, hint = inputs
    known = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    if scheduler == "ddim":
        stepper: Any = DDIMScheduler(
            **known, clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="leading"
        )
    else:
        stepper = UniPCMultistepScheduler(**known)
    stepper.set_timesteps(steps)
    token, nothing = networks.encoder(ref, return_uncond_vector=True)
    kept, x = conditions(networks, photo, keep), noise
    for t in stepper.timesteps:
        nine = torch.cat([x, kept], dim=1)
        with_garment = predicted(networks, nine, int(t), token, hint)
        without = predicted(networks, nine, int(t), nothing, hint)
        x = stepper.step(without + guidance * (with_garment - without), t, x).prev_sample
    picture = networks.vae.decode(x / networks.vae.config.scaling_factor).sample
    return ((picture + 1) / 2).clamp(0, 1)[0]
