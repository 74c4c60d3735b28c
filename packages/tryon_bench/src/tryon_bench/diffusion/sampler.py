"""From noise to pictures: DDIM or UniPC, with guidance; a sample does not depend on its neighbours in the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from diffusers import DDIMScheduler, UniPCMultistepScheduler
from torch import Tensor

from .._shared.errors import ConfigError
from .._shared.order import generator
from .config import FrameConfig
from .latents import decode, encode, small_mask, unet_input
from .model import GuidedInpainting

MOST_STEPS = 500  # of the 1000 of training; "leading" spacing would index past them beyond

SchedulerName = Literal["ddim", "unipc"]

# "leading" and an offset of 1 are Stable Diffusion's way of choosing steps, also in Paint-by-Example's own sampler.
_SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ddim": (
        DDIMScheduler,
        {"clip_sample": False, "set_alpha_to_one": False, "timestep_spacing": "leading", "steps_offset": 1},
    ),
    "unipc": (UniPCMultistepScheduler, {}),
}


@dataclass(frozen=True)
class SamplerSettings:
    """How pictures are drawn.

    Attributes:
        scheduler: ddim (eta 0) or unipc (order 2); both add no noise on the way.
        steps: evaluations of the networks, times two with guidance.
        guidance: e = e_uncond + guidance (e_exemplar - e_uncond), the hint in both; 1: one pass. CAT-DM has none,
            Paint-by-Example 5.
        strength: with a start picture, the share of the noise schedule that is run; 1 ignores the picture.
    """

    scheduler: SchedulerName = "ddim"
    steps: int = 30
    guidance: float = 1.0
    strength: float = 0.6

    def __post_init__(self) -> None:
        if self.scheduler not in _SCHEDULERS:
            raise ConfigError(f"scheduler: expected one of {', '.join(_SCHEDULERS)}, got {self.scheduler!r}")
        if not 1 <= self.steps <= MOST_STEPS or not 0 < self.strength <= 1 or self.guidance < 0:
            raise ConfigError(
                f"expected 1 <= steps <= {MOST_STEPS}, guidance >= 0 and 0 < strength <= 1, got {self.steps}, "
                f"{self.guidance:g} and {self.strength:g}"
            )


def initial_noise(seed: int, pair_id: str, shape: tuple[int, int, int]) -> Tensor:
    """Noise of a pair, a function of the run's seed and the pair's name alone.

    Args:
        seed: of the run.
        pair_id: name of the row.
        shape: (4, h, w) of the latents.
    """
    rng = generator(seed, f"initial-noise/{pair_id}")
    return torch.from_numpy(rng.standard_normal(shape, np.float32))


@torch.no_grad()
def draw(
    model: GuidedInpainting,
    batch: dict[str, Tensor],
    noise: Sequence[Tensor],
    frame: FrameConfig,
    settings: SamplerSettings,
    start: Tensor | None = None,
) -> Tensor:
    """Pictures of a batch.

    Args:
        model: in eval mode, on the device.
        batch: `image`, `keep`, `ref` and `hint` of `to_tensors`, on the device.
        noise: (4, h, w) per sample.
        frame: settings that the model was trained with.
        settings: how to draw.
        start: (B, 3, H, W) in [-1, 1], coarse results to begin with instead of noise alone.

    Returns:
        (B, 3, H, W) float32 in [0, 1].
    """
    base, device = model.components, batch["image"].device
    masked = encode(base.vae, batch["image"] * batch["keep"]).float()
    keep = small_mask(batch["keep"], (masked.shape[2], masked.shape[3]), frame.mask_resample)
    scheduler = _scheduler(base.noise, settings)
    latents, times = torch.stack(list(noise)).to(device) * scheduler.init_noise_sigma, scheduler.timesteps
    if start is not None and settings.strength < 1:
        times = times[len(times) - max(1, round(settings.strength * len(times))) :]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(len(scheduler.timesteps) - len(times))
        first = times[:1].repeat(len(latents))
        latents = scheduler.add_noise(encode(base.vae, start).float(), latents, first)
    for time in times:
        fixed = scheduler.scale_model_input(latents, time)
        predicted = _predict(model, unet_input(fixed, masked, keep), time, batch, settings.guidance)
        latents = scheduler.step(predicted, time, latents).prev_sample
    return (decode(base.vae, latents).float() + 1) / 2


def _predict(
    model: GuidedInpainting, latents: Tensor, time: Tensor, batch: dict[str, Tensor], guidance: float
) -> Tensor:
    """Noise, from one pass or from two of which the first does not see the garment's token."""
    count = len(latents)
    times = time.to(latents.device).repeat(count)
    seen = torch.zeros(count, dtype=torch.bool, device=latents.device)
    if guidance == 1:
        return model(latents, times, batch["ref"], seen, batch["hint"]).float()
    twice = [torch.cat([part, part]) for part in (latents, times, batch["ref"], batch["hint"])]
    both = model(twice[0], twice[1], twice[2], torch.cat([~seen, seen]), twice[3]).float()
    without, with_garment = both.chunk(2)
    return without + guidance * (with_garment - without)


def _scheduler(noise: dict[str, Any], settings: SamplerSettings) -> Any:
    kind, options = _SCHEDULERS[settings.scheduler]
    known = {name: value for name, value in noise.items() if name in _SCHEDULE}
    scheduler = kind.from_config({**known, **options})
    scheduler.set_timesteps(settings.steps)
    return scheduler


_SCHEDULE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type", "trained_betas")
