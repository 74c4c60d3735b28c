"""Pretrain a tiny model on planted pairs, dropout off; run alone or under torchrun by test_distributed.py.

Usage: pretraining.py RUN_DIR METHOD[,METHOD...] [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cmcgns._shared.cli import leave
from cmcgns._shared.config import flatten, load_config
from cmcgns.config import Config
from cmcgns.data.pairs import PairDataset
from cmcgns.synth.planted import planted_dataset
from cmcgns.train import pretrain


def planted_sides(train: int = 64, validation: int = 32, side_px: int = 32, seed: int = 0) -> PairDataset:
    """Planted pairs with a training and a validation side, no patient on both."""
    first = planted_dataset(train, seed=2 * seed, side_px=side_px, split="train")
    second = planted_dataset(validation, seed=2 * seed + 1, side_px=side_px, split="validation")
    others = tuple(replace(pair, patient_id=f"held-out {pair.patient_id}") for pair in second)
    return replace(first, pairs=first.pairs + others)


def tiny_settings(method: str = "cmcgns", **train: Any) -> dict[str, Any]:
    """Settings of a run that takes seconds."""
    stage = {
        "max_steps": 6,
        "batch_size": 8,
        "lr": 1e-3,
        "warmup_steps": 0,
        "clip_norm": 1e9,  # none: under SGD the steps are the gradients themselves
        "log_every": 1,
        "validate_every": 3,
        "checkpoint_every": 2,
    } | train
    return {
        "model": {
            "image": {"backbone": "tiny-vit", "side_px": 32},
            "text": {"backbone": "tiny", "max_tokens": 96, "dropout": 0.0},
            "dim": 32,
        },
        "loss": {"method": method},
        "clusters": {"k": 6, "queue": 256, "start_step": 1},
        "stages": 2 if method == "cmcgns" else 1,
        "stage1": stage,
        "stage2": stage,
    }


def main(run_dir: Path, methods: str, sets: list[str]) -> None:
    torch.set_num_threads(1)
    for method in methods.split(","):
        flags = {key: value for key, value in flatten(tiny_settings(method)).items() if key not in dict_of(sets)}
        config = load_config(Config, None, sets, flags)
        pretrain(config, run_dir / method, dataset=planted_sides(), device="cpu", quiet=True, resume=True)


def dict_of(sets: list[str]) -> dict[str, str]:
    """Texts KEY=VALUE as a mapping."""
    return dict(text.split("=", 1) for text in sets)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
    leave(0)
