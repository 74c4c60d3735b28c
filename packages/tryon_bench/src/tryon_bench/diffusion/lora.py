"""Low-rank adapters (LoRA, Hu et al. 2022) on the attention of the base UNet, through peft."""

from __future__ import annotations

from diffusers import UNet2DConditionModel
from torch import nn

_TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


def add_lora(unet: UNet2DConditionModel, rank: int, alpha: float) -> None:
    """Give every attention projection of a UNet an adapter that starts without effect.

    Args:
        unet: changed in place.
        rank: of the two factors.
        alpha: the adapter's output is scaled by alpha / rank.
    """
    from peft import LoraConfig

    unet.add_adapter(
        LoraConfig(r=rank, lora_alpha=alpha, init_lora_weights="gaussian", target_modules=list(_TARGETS))
    )


def lora_modules(unet: UNet2DConditionModel) -> dict[str, nn.Module]:
    """The adapters' factors by their place in the UNet; empty without adapters."""
    return {
        name: module
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear) and (".lora_A." in name or ".lora_B." in name)
    }
