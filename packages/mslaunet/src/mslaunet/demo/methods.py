"""The four methods of the demo's table, trained and untrained, under one interface."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._shared.checkpoints import load_model, load_strict
from .._shared.engine.config import TrainConfig
from .._shared.engine.device import resolve_device
from ..baselines import AllBackground, PadToMultiple, fit_nearest_mean, monai_unet
from ..config import Config, DataConfig, ModelConfig
from ..cost import forward_gflop
from ..predict import Predictor, load_predictor
from ..train import TrainingData, train

SIDE_PX = 128
OURS, UNET, NEAREST, BACKGROUND = "MSLAU-Net (ours)", "MONAI UNet", "nearest mean intensity", "all background"


@dataclass(frozen=True)
class Method:
    """One line of the demo's table.

    Attributes:
        name: shown in the table.
        predictor: the method itself.
        parameters: trainable parameters.
        gflop: arithmetic of one forward pass over a 128 x 128 slice.
        steps: optimiser steps; None where nothing is trained by gradient.
    """

    name: str
    predictor: Predictor
    parameters: int
    gflop: float
    steps: int | None


def demo_config(dataset: Path, *, max_minutes: float, max_steps: int, seed: int) -> Config:
    """Settings of both networks: a 3 mm grid, whole slices in a 128 px window, a fixed training time.

    The learning rate stays constant and the moving average of the weights takes the part of a decay, because a
    schedule over steps would not know how many of them fit into the time.
    """
    return Config(
        data=DataConfig(root=dataset, pixel_mm=3.0, side_px=SIDE_PX, split="slices", block_slices=4),
        model=ModelConfig(variant="small", preset="corrected"),
        train=TrainConfig(
            max_steps=max_steps,
            max_minutes=max_minutes,
            batch_size=8,
            lr=2e-3,
            schedule="constant",
            warmup_steps=20,
            clip_norm=1.0,
            ema_decay=0.95,
            validate_every=50,
            checkpoint_every=200,
            monitor="dice",
            seed=seed,
        ),
    )


def train_ours(config: Config, run_dir: Path, *, device: str, **options: Any) -> Method:
    """Train MSLAU-Net and take its best weights; options are those of `train`."""
    result = train(config, run_dir, device=device, **options)
    predictor = load_predictor(run_dir, device=device)
    return _trained(OURS, predictor, result.step)


def train_unet(config: Config, data: TrainingData, run_dir: Path, *, device: str, **options: Any) -> Method:
    """Train a MONAI UNet on the same slices in the same order for the same time, and take its best weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        unet = monai_unet(in_channels=data.plan.num_channels, num_classes=len(data.dataset.classes))
    result = train(config, run_dir, device=device, model=unet, **options)
    tensors, _ = load_model(run_dir / "checkpoints" / "best")
    load_strict(unet, tensors, run_dir.name)
    predictor = _predictor(PadToMultiple(unet, 8), data, resolve_device(device))
    return _trained(UNET, predictor, result.step)


def trivial_methods(data: TrainingData, device: torch.device) -> list[Method]:
    """What needs no training: nearest mean intensity, and background everywhere."""
    cases = data.cases.cases
    slices = ((cases[c].image[:, z], cases[c].mask[z]) for c, z in data.split.train)
    nearest = fit_nearest_mean(slices, len(data.dataset.classes))
    background = AllBackground(len(data.dataset.classes))
    return [
        Method(NEAREST, _predictor(nearest, data, device), 0, 0.0, None),
        Method(BACKGROUND, _predictor(background, data, device), 0, 0.0, None),
    ]


def _predictor(model: nn.Module, data: TrainingData, device: torch.device) -> Predictor:
    return Predictor(model.eval().to(device), data.plan, dict(data.dataset.classes), {}, device)


def _trained(name: str, predictor: Predictor, steps: int) -> Method:
    parameters = sum(p.numel() for p in predictor.model.parameters())
    gflop = forward_gflop(predictor.model, (predictor.plan.num_channels, SIDE_PX, SIDE_PX))
    return Method(name, predictor, parameters, gflop, steps)
