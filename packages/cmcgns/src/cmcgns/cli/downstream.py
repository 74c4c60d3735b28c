"""Commands that train on a user's labels or table, and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
from .app import MinutesOption, ModelOption, app
from .data import DataArgument, ImageColumnOption, PatientColumnOption, TextColumnOption


@command(
    app,
    "finetune",
    examples=[
        "cmcgns finetune DATA --job classification --model runs/first --run-dir runs/labels --fraction 0.1",
        "cmcgns finetune RSNA --job detection --head yolo --model runs/first --run-dir runs/boxes --json",
    ],
)
def finetune_command(
    data: DataArgument,
    model: ModelOption,
    run_dir: RunDirOption,
    job: Annotated[
        Literal["classification", "detection", "segmentation"], typer.Option("--job", help="What is learned.")
    ],
    head: Annotated[
        Literal["linear", "fcos", "yolo", "unet", "setr"] | None,
        typer.Option("--head", help="linear; fcos or yolo; unet or setr. Default: the first of the job."),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    fraction: Annotated[
        float | None, typer.Option("--fraction", min=0, max=1, help="Share of the training films, such as 0.01.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training films.")] = None,
    max_minutes: MinutesOption = None,
    random_weights: Annotated[
        bool,
        typer.Option("--random-weights", metavar="", help="The same tower untrained, as a control."),
    ] = False,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Put a head on the image tower: classification, detection or segmentation; scores the test side once."""
    from .._shared.config import load_config
    from ..downstream.config import FinetuneConfig
    from ..downstream.finetune import finetune

    flags = {
        "data.root": str(data),
        "job": job,
        "head.kind": head,
        "fraction": fraction,
        "train.epochs": epochs,
        "train.max_minutes": max_minutes,
        "train.seed": seed,
    }
    resolved = load_config(FinetuneConfig, config, settings or (), flags)
    result = finetune(
        resolved, model, run_dir, random_weights=random_weights, device=device, resume=resume, quiet=quiet
    )
    test = result.test
    interval = f" ({test['low']:.3f} to {test['high']:.3f})" if "low" in test else ""
    stamp = "" if result.comparable else "RANDOM WEIGHTS, NOT COMPARABLE\n"
    text = f"{stamp}{test['metric']}: {test['value']:.3f}{interval}, n = {test['n']}\n{run_dir}"
    emit(result.to_json(), as_json, text)


@command(
    app,
    "fit",
    examples=[
        "cmcgns fit data.csv --run-dir runs/mine --image-col file --text-col report",
        "cmcgns fit TABLE/data.csv --run-dir runs/mine --max-minutes 5 --json",
    ],
)
def fit_command(
    data: DataArgument,
    run_dir: RunDirOption,
    image_column: ImageColumnOption = None,
    text_columns: TextColumnOption = None,
    patient_column: PatientColumnOption = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="NAME", help="Default: tiny without a graphics card, else vit-b."),
    ] = None,
    max_minutes: MinutesOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Your table of films and texts: examine it, pretrain with settings that suit its size, evaluate, write a page."""
    from ..fit_table import fit_table

    result = fit_table(
        data,
        run_dir,
        image_column=image_column,
        text_columns=text_columns,
        patient_column=patient_column,
        recipe=recipe,
        max_minutes=max_minutes,
        device=device,
        seed=seed or 0,
        resume=resume,
        quiet=quiet,
    )
    emit(result.to_json(), as_json, result.text())


@command(
    app,
    "demo",
    examples=["cmcgns demo", "cmcgns demo --run-dir runs/longer --max-minutes 20 --json"],
)
def demo_command(
    run_dir: RunDirOption = Path("runs/cmcgns-demo"),
    max_minutes: Annotated[
        float, typer.Option("--max-minutes", min=0.05, help="Training time of each of the two models.")
    ] = 3.0,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Pretrain on films projected from real CTs and real report sentences; exit 1 if the controls are not beaten."""
    from ..demo.run import demo_text, run_demo

    result = run_demo(run_dir, max_minutes=max_minutes, seed=seed or 0, device=device, resume=resume, quiet=quiet)
    emit(result.to_json(), as_json, demo_text(result))
    if not result.beats_controls:
        raise typer.Exit(1)
