"""A frozen inpainting UNet that a ControlNet steers, as one module that holds what is trained and nothing else."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, TypeVar

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

from .components import Components
from .exemplar import ExemplarEncoder
from .lora import lora_modules

Network = TypeVar("Network", bound=nn.Module)


class _Base:
    """The frozen networks, hidden from `nn.Module`: they are neither saved, nor averaged, nor sent between processes.

    A copy of the module (the moving average) shares them, but for those of which a part is trained: the UNet with LoRA
    layers, the encoder whose mapping is trained.
    """

    def __init__(self, components: Components) -> None:
        self.components = components

    def __deepcopy__(self, memo: dict[int, Any]) -> _Base:
        copied = _Base.__new__(_Base)
        copied.components = replace(
            self.components, unet=_own(self.components.unet, memo), encoder=_own(self.components.encoder, memo)
        )
        return copied

    def at(self, device: torch.device) -> Components:
        """The networks, on the device where the trained ones are: the loop moves only those."""
        if self.components.unet.conv_in.weight.device != device:
            for module in self.components.modules():
                module.to(device)
        return self.components


def _own(module: Network, memo: dict[int, Any]) -> Network:
    """A copy of a network of which something is trained, the network itself otherwise."""
    return copy.deepcopy(module, memo) if any(p.requires_grad for p in module.parameters()) else module


class GuidedInpainting(nn.Module):
    """Predicts the noise in latents, given what is kept of the photo, the garment, and a picture as hint.

    Registered, and therefore trained, are the ControlNet, LoRA layers that the UNet carries, and on demand the mapping
    behind CLIP.

    Args:
        components: the base; frozen here.
        controlnet: as `components.new_controlnet` makes it.
        train_mapping: train mapper, layer norm, projection and unconditional vector of the encoder too.
    """

    def __init__(
        self, components: Components, controlnet: ControlNetModel, *, train_mapping: bool = False
    ) -> None:
        super().__init__()
        self._base = _Base(components.frozen())
        self.controlnet = controlnet
        self.lora = nn.ModuleDict()
        for name, module in lora_modules(components.unet).items():
            self.lora[name.replace(".", "/")] = module.requires_grad_(True)
        self.mapping: nn.ModuleDict | None = None
        self.uncond_vector: nn.Parameter | None = None
        if train_mapping:
            self.mapping = components.encoder.mapping().requires_grad_(True)
            self.uncond_vector = components.encoder.uncond_vector
            self.uncond_vector.requires_grad_(True)

    @property
    def components(self) -> Components:
        """The base, where the ControlNet is."""
        return self._base.components

    def forward(self, latents: Tensor, timesteps: Tensor, ref: Tensor, drop: Tensor, hint: Tensor) -> Tensor:
        """Noise.

        Args:
            latents: (B, 9, h, w): noisy latents 4, latents of the masked photo 4, keep mask 1 (1 = keep).
            timesteps: (B,) int64.
            ref: (B, 3, S, S) the garment as CLIP takes it.
            drop: (B,) bool; these get the unconditional vector instead of the garment, in both networks.
            hint: (B, C, H, W) in [-1, 1], masks in [0, 1].

        Returns:
            (B, 4, h, w).
        """
        base = self._base.at(latents.device)
        with torch.no_grad():
            pooled = base.encoder.pooled(ref)
        context = base.encoder.token(pooled, drop)
        down, middle = self.controlnet(latents, timesteps, context, hint, return_dict=False)
        noise: Tensor = base.unet(
            latents,
            timesteps,
            context,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        return noise


class JointInpainting(nn.Module):
    """Base and ControlNet while both are trained, which only a random base needs.

    Samples whose hint was dropped (is zero) are left to the base alone, so that it learns to do without a ControlNet.
    """

    def __init__(self, unet: UNet2DConditionModel, encoder: ExemplarEncoder, controlnet: ControlNetModel) -> None:
        super().__init__()
        self.unet, self.encoder, self.controlnet = unet, encoder, controlnet

    def forward(self, latents: Tensor, timesteps: Tensor, ref: Tensor, drop: Tensor, hint: Tensor) -> Tensor:
        """As `GuidedInpainting.forward`."""
        context = self.encoder.token(self.encoder.pooled(ref), drop)
        down, middle = self.controlnet(latents, timesteps, context, hint, return_dict=False)
        steered = (hint != 0).flatten(1).any(dim=1)[:, None, None, None]
        noise: Tensor = self.unet(
            latents,
            timesteps,
            context,
            down_block_additional_residuals=[residual * steered for residual in down],
            mid_block_additional_residual=middle * steered,
            return_dict=False,
        )[0]
        return noise
