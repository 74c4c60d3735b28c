"""Commands that compare networks. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._shared.cli import (
    ConfigOption,
    DebugOption,
    DeviceOption,
    JsonOption,
    QuietOption,
    ResumeOption,
    RunDirOption,
    SeedOption,
    SetOption,
    command,
    emit,
)
from .app import app

ARMS = "corrected, layout, head-merge, softmax, aggregation, kernels"


@command(
    app,
    "ablate",
    examples=[
        "mslaunet ablate DATA --run-dir runs/ablation --steps 500 --set model.variant=tiny",
        "mslaunet ablate DATA --run-dir runs/ablation --steps 500 --arm layout --arm softmax --seeds 5 --resume",
    ],
)
def ablate_command(
    data: Annotated[Path, typer.Argument(help="Data set folder; its layout is recognised.")],
    run_dir: RunDirOption,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Optimiser steps of every run.")] = 500,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs per arm, with seeds from --seed on.")] = 3,
    arms: Annotated[
        list[str] | None, typer.Option("--arm", help=f"What to change; repeat. Default: all of {ARMS}.")
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Train one factor at a time away from `corrected`, over seeds; tell what each is worth on this data set."""
    from .._shared.config import load_config
    from ..ablate import ARMS, ablate, ablation_text
    from ..config import Config

    flags = {"data.root": str(data), "train.max_steps": steps, "train.seed": seed}
    resolved = load_config(Config, config, settings or (), flags)
    result = ablate(
        resolved, run_dir, seeds=seeds, arms=arms or tuple(ARMS), device=device, resume=resume, quiet=quiet
    )
    emit(result, as_json, f"{ablation_text(result)}\n{run_dir / 'ablation.json'}")
