"""The parts of Paint-by-Example, random at the tiny or the published size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from torch import nn
from transformers import CLIPVisionConfig

from .._shared.errors import ConfigError
from .exemplar import ExemplarEncoder

UNET_CHANNELS = 9  # noisy latents 4, latents of the masked photo 4, keep mask 1

# Stable Diffusion's noise: beta from 0.00085 to 0.012, linear in its root ("scaled linear"), 1000 steps.
NOISE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


@dataclass(frozen=True, eq=False)
class Components:
    """What a Paint-by-Example folder holds.

    Attributes:
        vae: photo <-> latents.
        unet: 9 channels in, noise of 4 out.
        encoder: garment -> token.
        noise: configuration of the scheduler, for any scheduler of diffusers.
    """

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    encoder: ExemplarEncoder
    noise: dict[str, Any]

    @property
    def vae_factor(self) -> int:
        """Pixels per latent, along one side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def side_multiple(self) -> int:
        """What both sides of a picture must be multiples of: the VAE's factor and the UNet's halvings."""
        return int(self.vae_factor * 2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def ref_px(self) -> int:
        """Side of the garment's picture that the encoder takes."""
        return int(self.encoder.config.image_size)

    def require_size(self, size: tuple[int, int]) -> None:
        """Refuse a picture size that cannot be halved as often as the networks do.

        Raises:
            ConfigError: says the nearest sizes that can.
        """
        unit = self.side_multiple
        if size[0] % unit or size[1] % unit:
            fitting = "x".join(str(max(unit, round(side / unit) * unit)) for side in size)
            raise ConfigError(
                f"height_px, width_px: expected multiples of {unit} (VAE factor {self.vae_factor} x the UNet's "
                f"halvings), got {size[0]}x{size[1]}; the nearest is {fitting}"
            )

    def modules(self) -> tuple[nn.Module, ...]:
        """All networks."""
        return self.vae, self.unet, self.encoder

    def frozen(self) -> Components:
        """The same networks in eval mode, without gradients for any of their weights."""
        for module in self.modules():
            module.requires_grad_(False).eval()
        return self

    def with_unet(self, unet: UNet2DConditionModel) -> Components:
        """The same with another UNet."""
        return replace(self, unet=unet)


def tiny_components(seed: int) -> Components:
    """Random networks of 0.7 million parameters that learn on a CPU; no download.

    One latent per 2 x 2 pixels, so that pictures have sides of multiples of 4.

    Args:
        seed: of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKL(
            block_out_channels=(16, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            mid_block_add_attention=False,
        )
        _start_near_identity(vae)
        unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=UNET_CHANNELS,
            out_channels=4,
            layers_per_block=1,
            block_out_channels=(32, 32),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=8,
            norm_num_groups=8,
        )
        clip = CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=5,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
            projection_dim=16,
        )
        return Components(vae, unet, ExemplarEncoder(clip, 16), dict(NOISE))


@torch.no_grad()
def _start_near_identity(vae: AutoencoderKL) -> None:
    """Residual branches that begin as zero and a posterior that begins narrow, so that the VAE learns sooner."""
    for module in vae.modules():
        if isinstance(module, ResnetBlock2D):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
    vae.quant_conv.weight[4:] = 0  # the logarithm of the variance
    vae.quant_conv.bias[4:] = -6


def published_components() -> Components:
    """Networks of the published size (Stable Diffusion 1, CLIP ViT-L/14), without weights, on the meta device."""
    with torch.device("meta"):
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        )
        unet = UNet2DConditionModel(
            sample_size=64,
            in_channels=UNET_CHANNELS,
            out_channels=4,
            cross_attention_dim=768,
            attention_head_dim=8,
        )
        clip = CLIPVisionConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
            image_size=224,
            patch_size=14,
            projection_dim=768,
        )
        return Components(vae, unet, ExemplarEncoder(clip, 768), dict(NOISE))


def new_controlnet(components: Components, hint_channels: int) -> ControlNetModel:
    """A ControlNet that starts as the UNet's encoder and, its last convolutions being zero, changes nothing.

    Args:
        components: the base; the ControlNet takes its 9 input channels over.
        hint_channels: of the condition's picture.
    """
    halvings = len(components.vae.config.block_out_channels) - 1
    widths = (16, 32, 96, 256) if halvings == 3 else tuple(16 * 2**i for i in range(halvings + 1))
    return ControlNetModel.from_unet(
        components.unet, conditioning_embedding_out_channels=widths, conditioning_channels=hint_channels
    )
