"""Commands that train. Thin: nothing heavy is imported before one runs."""

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
from .app import MinutesOption, app


@command(
    app,
    "train",
    examples=[
        "mslaunet train DATA --run-dir runs/first --recipe generic-sound --epochs 50 --set model.variant=tiny",
        "torchrun --nproc-per-node=2 -m mslaunet train DATA --run-dir runs/two --resume",
    ],
)
def train_command(
    data: Annotated[Path, typer.Argument(help="Data set folder; its layout is recognised.")],
    run_dir: RunDirOption,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="NAME", help="Settings to start from, see `mslaunet info`.")
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training slices.")] = None,
    max_minutes: MinutesOption = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Train so many times, with seeds from --seed on; mean and sd.")
    ] = 1,
    folds: Annotated[
        int | None, typer.Option("--folds", min=2, help="Cross-validation in so many parts, each a run.")
    ] = None,
    allow: Annotated[
        bool, typer.Option("--allow", metavar="", help="Continue although settings or data changed.")
    ] = False,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a network; safe to kill at any time, --resume goes on bit-exactly."""
    from .._shared.config import load_config
    from ..config import Config
    from ..recipes import read_recipe
    from ..sweep import describe_training, monitored, train_many

    flags = {
        "data.root": str(data),
        "train.epochs": epochs,
        "train.max_minutes": max_minutes,
        "train.seed": seed,
    }
    base = None if recipe is None else read_recipe(recipe)
    resolved = load_config(Config, config, settings or (), flags, base=base)
    results = train_many(
        resolved,
        run_dir,
        seeds=seeds,
        folds=folds,
        device=device,
        resume=resume,
        allow_config_change=allow,
        quiet=quiet,
    )
    summary, text = describe_training(results, run_dir, monitored(resolved))
    emit(summary, as_json, text)


@command(
    app,
    "demo",
    examples=["mslaunet demo", "mslaunet demo --run-dir runs/longer --max-minutes 20"],
)
def demo_command(
    run_dir: RunDirOption = Path("runs/mslaunet-demo"),
    max_minutes: Annotated[
        float, typer.Option("--max-minutes", min=0.05, help="Training time of each of the two networks.")
    ] = 3.0,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Learn one patient's CT and segment another's; exit 1 if training does not beat the trivial answers."""
    from ..demo.run import demo_text, run_demo

    result = run_demo(run_dir, max_minutes=max_minutes, seed=seed or 0, device=device, resume=resume, quiet=quiet)
    emit(result.to_json(), as_json, demo_text(result))
    if not result.beats_trivial:
        raise typer.Exit(1)
