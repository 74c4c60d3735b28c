"""ControlNet + Paint-by-Example at the tiny size, and what gradient checkpointing saves at a larger one.

A part of `make bench PKG=tryon_bench`; no weights are needed. Variants take turns, step by step; memory is the peak of
a process of its own per variant, less what it held before its first step.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

TINY, TINY_BATCH, ROUNDS = (64, 48), 8, 12
LARGE, LARGE_BATCH, LARGE_STEPS = (256, 192), 4, 2
VARIANTS = ("plain", "checkpointing", "lora")
SAMPLERS = {"ddim 20": ("ddim", 20, 1.0), "ddim 20, guidance": ("ddim", 20, 3.0), "unipc 10": ("unipc", 10, 1.0)}


def bench_pbe() -> dict[str, Any]:
    """Processor seconds and memory."""
    return {"train": _train(), "sample": _sample(), "memory": {name: _memory(name) for name in VARIANTS[:2]}}


def pbe_lines(part: dict[str, Any]) -> list[str]:
    """The part of the page."""
    plain = part["train"]["plain"]
    height, width = TINY
    lines = [
        "## ControlNet + Paint-by-Example",
        "",
        f"The tiny configuration (0.7 million parameters, random weights), {width} x {height}, batch {TINY_BATCH}, one "
        f"thread, processor time, median of {ROUNDS} rounds (sampling {ROUNDS // 4}) in turns. Nothing is "
        "said about the published size.",
        "",
        "| training step | images/s | time against plain |",
        "|---|---|---|",
        *(f"| {name} | {TINY_BATCH / s:.1f} | {s / plain:.2f}x |" for name, s in part["train"].items()),
        "",
        "| sampling | images/s |",
        "|---|---|",
        *(f"| {name} | {TINY_BATCH / s:.1f} |" for name, s in part["sample"].items()),
        "",
    ]
    memory = part["memory"]
    saved = memory["plain"]["peak_mib"] / memory["checkpointing"]["peak_mib"]
    slower = memory["checkpointing"]["step_s"] / memory["plain"]["step_s"]
    return [
        *lines,
        f"Gradient checkpointing at {LARGE[1]} x {LARGE[0]}, batch {LARGE_BATCH}, UNet of 64 and 128 channels with two "
        f"layers: {memory['plain']['peak_mib']:.0f} MiB above the start without, "
        f"{memory['checkpointing']['peak_mib']:.0f} MiB with it, {saved:.2f}x less for {slower:.2f}x the time.",
        "",
    ]


def _components(large: bool) -> Any:
    from diffusers import UNet2DConditionModel

    from tryon_bench.diffusion.components import tiny_components

    base = tiny_components(0)
    if not large:
        return base
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=9,
        out_channels=4,
        layers_per_block=2,
        block_out_channels=(64, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    return base.with_unet(unet)


def _model(variant: str, *, large: bool = False) -> Any:
    from tryon_bench.diffusion.config import DiffusionConfig
    from tryon_bench.diffusion.storage import build_model

    config = DiffusionConfig(gradient_checkpointing=variant == "checkpointing", lora_rank=4 * (variant == "lora"))
    return build_model(_components(large), config)


def _inputs(size: tuple[int, int], count: int) -> tuple[Tensor, ...]:
    height, width = size
    return (
        torch.randn(count, 9, height // 2, width // 2),
        torch.randint(1000, (count,)),
        torch.randn(count, 3, 16, 16),
        torch.zeros(count, dtype=torch.bool),
        torch.randn(count, 6, height, width),
    )


def _stepper(model: Any, inputs: tuple[Tensor, ...]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        model(*inputs).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _train() -> dict[str, float]:
    return _in_turns({name: _stepper(_model(name), _inputs(TINY, TINY_BATCH)) for name in VARIANTS})


def _sample() -> dict[str, float]:
    from tryon_bench.diffusion.config import FrameConfig
    from tryon_bench.diffusion.sampler import SamplerSettings, draw, initial_noise

    model = _model("plain").eval()
    _, _, ref, _, hint = _inputs(TINY, TINY_BATCH)
    batch = {"image": torch.rand(TINY_BATCH, 3, *TINY), "keep": torch.ones(TINY_BATCH, 1, *TINY)}
    batch |= {"ref": ref, "hint": hint}
    noise = [initial_noise(0, str(i), (4, TINY[0] // 2, TINY[1] // 2)) for i in range(TINY_BATCH)]
    frame = FrameConfig(height_px=TINY[0], width_px=TINY[1])
    calls: dict[str, Callable[[], Any]] = {
        name: partial(draw, model, batch, noise, frame, SamplerSettings(kind, steps, guidance))  # type: ignore[arg-type]
        for name, (kind, steps, guidance) in SAMPLERS.items()
    }
    return _in_turns(calls, ROUNDS // 4)


def _in_turns(calls: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = time.process_time()
            call()
            if number:  # the first warms up
                times[name].append(time.process_time() - started)
    return {name: float(np.median(values)) for name, values in times.items()}


def _memory(variant: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, variant], check=True, capture_output=True, text=True)
    before, after, seconds = map(float, done.stdout.split())
    return {"peak_mib": (after - before) / 1024, "step_s": seconds}


def _peak_kib() -> int:
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def _measure_alone(variant: str) -> None:
    torch.set_num_threads(1)
    step = _stepper(_model(variant, large=True), _inputs(LARGE, LARGE_BATCH))
    before, started = _peak_kib(), time.process_time()
    for _ in range(LARGE_STEPS):
        step()
    print(before, _peak_kib(), (time.process_time() - started) / LARGE_STEPS)


if __name__ == "__main__":
    _measure_alone(sys.argv[1])
