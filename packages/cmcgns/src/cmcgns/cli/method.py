"""Commands of the method: pretraining."""

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
from .app import AllowOption, MinutesOption, app

RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe", metavar="NAME", help="Settings that come with the package: vit-b, resnet-50, tiny, ..."
    ),
]


@command(
    app,
    "pretrain",
    examples=[
        "cmcgns pretrain DATA --run-dir runs/first --recipe tiny --epochs 3",
        "torchrun --nproc-per-node=2 -m cmcgns pretrain DATA --run-dir runs/two --recipe vit-b --resume",
    ],
)
def pretrain_command(
    data: Annotated[Path, typer.Argument(help="Data set of any format of `cmcgns synth`, a table, or shards.")],
    run_dir: RunDirOption,
    config: ConfigOption = None,
    settings: SetOption = None,
    recipe: RecipeOption = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the training pairs, in each stage.")
    ] = None,
    max_minutes: MinutesOption = None,
    allow: AllowOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Pretrain both towers in two stages; safe to kill at any time, --resume goes on bit-exactly."""
    from .._shared.config import load_config
    from ..config import Config
    from ..recipes import recipe_path
    from ..train import pretrain

    flags = {"data.root": str(data)}
    for stage in ("stage1", "stage2"):
        flags |= {f"{stage}.epochs": epochs, f"{stage}.max_minutes": max_minutes, f"{stage}.seed": seed}  # type: ignore[dict-item]
    source = recipe_path(recipe, config)
    result = pretrain(
        load_config(Config, source, settings or (), flags),
        run_dir,
        device=device,
        resume=resume,
        allow_config_change=allow,
        quiet=quiet,
    )
    last = result.last
    best = "undefined" if last.best_metric is None else f"{last.best_metric:.4f}"
    stages = {f"stage{i}": fit for i, fit in ((1, result.stage1), (2, result.stage2)) if fit is not None}
    summary = {
        name: {
            "steps": fit.step,
            "stopped": fit.stopped,
            "best_recall_at_10": fit.best_metric,
            "last": str(fit.last_path),
        }
        for name, fit in stages.items()
    }
    emit(
        {**summary, "model": str(run_dir)},
        as_json,
        f"{len(stages)} stage(s), {last.step} steps in the last ({last.stopped}), best recall at 10 {best}\n{run_dir}",
    )
