"""What the shared loop needs to know about training a denoiser, and the VAE of the tiny base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from .._shared.order import generator
from .config import DiffusionConfig
from .latents import encode, small_mask, unet_input
from .model import GuidedInpainting, JointInpainting
from .pairs import PreparedPairs, to_tensors

_KL_WEIGHT = 1e-6  # that of Stable Diffusion's VAE


class DenoisingTask:
    """Pairs in, loss of the predicted noise (or v, if the base predicts that) out.

    Per sample and step, all from the sample's generator: noise, timestep, noise of the VAE's posterior, and whether
    exemplar or hint are dropped. The exemplar is dropped sample by sample, in both networks.

    Attributes:
        model: `GuidedInpainting` or `JointInpainting`, or its distributed wrapper while the loop trains.
    """

    model: nn.Module

    def __init__(
        self,
        model: GuidedInpainting | JointInpainting,
        vae: AutoencoderKL,
        noise: dict[str, Any],
        pairs: PreparedPairs,
        validation: PreparedPairs,
        config: DiffusionConfig,
    ) -> None:
        self.model, self.vae = model, vae.requires_grad_(False).eval()
        self.pairs, self.validation, self.config = pairs, validation, config
        self.scheduler = DDPMScheduler.from_config(noise)
        self._latent_size = latent_size(vae, config)

    def train_size(self) -> int:
        """Number of training pairs."""
        return len(self.pairs)

    def batch(self, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> dict[str, Tensor]:
        """The tensors of `to_tensors`, and `noise`, `vae_noise` (B, 4, h, w), `t`, `drop`, `drop_hint` (B,)."""
        return self._collate(self.pairs, indices, rngs, self.config.drop_exemplar, self.config.drop_hint)

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean squared error of what the base predicts, weighted by 1 + mask_weight where the photo is repainted."""
        return self._loss(self.model, batch)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The same loss on fixed noise and timesteps, nothing dropped, and so comparable between steps."""
        count, size = min(len(self.validation), 64), self.config.train.batch_size
        device = next(model.parameters()).device
        losses = []
        for start in range(0, count, size):
            numbers = range(start, min(start + size, count))
            rngs = [generator(0, "validation-noise", number) for number in numbers]
            batch = self._collate(self.validation, numbers, rngs, 0.0, 0.0)
            on_device = {name: value.to(device) for name, value in batch.items()}
            losses += [float(self._loss(model, on_device)["loss"])] * len(numbers)
        return {"loss": float(np.mean(losses))}

    def model_config(self) -> dict[str, Any]:
        """The run's settings."""
        return {"package": "tryon_bench", "diffusion": self.config.model_dump(mode="json")}

    def _loss(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        image, keep = batch["image"], batch["keep"]
        self.vae.to(image.device)
        with torch.no_grad():
            clean = encode(self.vae, image, batch["vae_noise"]).float()
            masked = encode(self.vae, image * keep).float()
        small = small_mask(keep, (clean.shape[2], clean.shape[3]), self.config.frame.mask_resample)
        noisy = self.scheduler.add_noise(clean, batch["noise"], batch["t"])
        hint = batch["hint"] * ~batch["drop_hint"][:, None, None, None]
        predicted = model(unet_input(noisy, masked, small), batch["t"], batch["ref"], batch["drop"], hint)
        error = F.mse_loss(predicted.float(), self._target(clean, batch["noise"], batch["t"]), reduction="none")
        weights = 1 + self.config.mask_weight * (1 - small)
        return {"loss": (error * weights).mean(), "mse": error.mean()}

    def _target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        if self.scheduler.config.prediction_type == "epsilon":
            return noise
        velocity: Tensor = self.scheduler.get_velocity(clean, noise, t)
        return velocity

    def _collate(
        self,
        pairs: PreparedPairs,
        indices: Sequence[int],
        rngs: Sequence[np.random.Generator],
        drop_exemplar: float,
        drop_hint: float,
    ) -> dict[str, Tensor]:
        shape = (4, *self._latent_size)
        steps = self.scheduler.config.num_train_timesteps
        drawn: dict[str, list[Any]] = {name: [] for name in ("noise", "vae_noise", "t", "drop", "drop_hint")}
        for rng in rngs:
            drawn["noise"].append(rng.standard_normal(shape, np.float32))
            drawn["vae_noise"].append(rng.standard_normal(shape, np.float32))
            drawn["t"].append(rng.integers(steps))
            drawn["drop"].append(rng.random() < drop_exemplar)
            drawn["drop_hint"].append(rng.random() < drop_hint)
        tensors = {name: torch.from_numpy(np.stack(values)) for name, values in drawn.items()}
        return {**to_tensors([pairs[int(i)] for i in indices], self.config.frame), **tensors}


class VaeTask:
    """Trains the tiny base's autoencoder on photos and on photos with their hole."""

    model: nn.Module

    def __init__(self, vae: AutoencoderKL, pairs: PreparedPairs, config: DiffusionConfig) -> None:
        self.model: nn.Module = Autoencoding(vae)
        self.pairs, self.config = pairs, config
        self._latent_size = latent_size(vae, config)

    def train_size(self) -> int:
        """Number of training pairs."""
        return len(self.pairs)

    def batch(self, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> dict[str, Tensor]:
        """`image` (B, 3, h, w), every second one with its hole, at random; and `vae_noise` (B, 4, h/2, w/2)."""
        tensors = to_tensors([self.pairs[int(i)] for i in indices], self.config.frame)
        holes = torch.tensor([rng.random() < 0.5 for rng in rngs])[:, None, None, None]
        noise = np.stack([rng.standard_normal((4, *self._latent_size), np.float32) for rng in rngs])
        image = torch.where(holes, tensors["image"] * tensors["keep"], tensors["image"])
        return {"image": image, "vae_noise": torch.from_numpy(noise)}

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Squared error of the reconstruction, and the divergence from a standard normal distribution."""
        mse, kl = self.model(batch["image"], batch["vae_noise"])
        return {"loss": mse + _KL_WEIGHT * kl, "mse": mse, "kl": kl}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Nothing is held out: this only prepares the base."""
        return {}

    def model_config(self) -> dict[str, Any]:
        """The run's settings."""
        return {"package": "tryon_bench", "diffusion": self.config.model_dump(mode="json")}


class Autoencoding(nn.Module):
    """A VAE as a module whose call gives its losses."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """MSE of the reconstruction from a sample of the posterior, and the mean KL divergence per latent."""
        distribution = self.vae.encode(image).latent_dist
        restored = self.vae.decode(distribution.mean + distribution.std * noise).sample
        kl = 0.5 * (distribution.mean.square() + distribution.var - 1 - distribution.logvar).mean()
        return F.mse_loss(restored.float(), image), kl


def latent_size(vae: AutoencoderKL, config: DiffusionConfig) -> tuple[int, int]:
    """Height and width of the latents of the configured pictures."""
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    return config.frame.height_px // factor, config.frame.width_px // factor
