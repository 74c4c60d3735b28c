"""Commands of the methods that run here. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
from .app import (
    DataArgument,
    FolderOption,
    FormatOption,
    PairsOption,
    SchemeOption,
    SettingOption,
    SplitOption,
    app,
    role_folders,
)

if TYPE_CHECKING:
    from ..methods.interface import Method

ComposeOption = Annotated[
    Literal["paste", "feather", "poisson", "poisson_mixed", "pyramid"],
    typer.Option("--compose", help="How a warped garment is laid over the person."),
]


@command(
    app,
    "run",
    examples=[
        "tryon-bench run tps_contour DATA --out runs/tps --setting unpaired",
        "tryon-bench run mean_fill,copy_paste,tps_contour DATA --out runs/baselines",
        "tryon-bench run flow DATA --out runs/flow --compose feather",
        "tryon-bench run warp_net DATA --checkpoint runs/warp --out runs/warped",
        "tryon-bench run command DATA --out runs/photos --command 'cp {person} {out}'",
    ],
)
def run_command(
    method: Annotated[
        str,
        typer.Argument(
            metavar="METHOD",
            help="tps_contour, flow, ... (an unknown one lists all), or command. Several, divided by commas, go into "
            "a folder each below --out.",
        ),
    ],
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the results go, as PNG.")],
    command_line: Annotated[
        str | None, typer.Option("--command", metavar="TEXT", help="Your program, with {person} {garment} {out}.")
    ] = None,
    compose: ComposeOption = "paste",
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="RUN", help="Run of `train-warp`, for warp_net.")
    ] = None,
    setting: SettingOption = "paired",
    fmt: FormatOption = "auto",
    pairs: PairsOption = None,
    split: SplitOption = "test",
    scheme: SchemeOption = None,
    folder: FolderOption = None,
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Dress everybody of a data set with a method that runs here, or with a program of your own."""
    from ..data.open import open_dataset
    from ..methods.catalogue import with_compose
    from ..methods.run import run_method

    names = method.split(",")
    chosen = [with_compose(one, compose) for one in _chosen(names, command_line, checkpoint)]
    dataset = open_dataset(
        data, fmt, setting, pairs, split=split, parse_scheme=scheme, folders=role_folders(folder)
    )
    runs = []
    for name, one in zip(names, chosen, strict=True):
        where = out / name if len(names) > 1 else out
        made = run_method(one, dataset, where, seed=seed or 0, resume=resume, quiet=quiet)
        runs.append({"method": one.id, "version": one.version, "out": str(where), "made": made})
    runs = [run | {"pairs": len(dataset.samples)} for run in runs]
    text = "\n".join(f"{run['made']} results made, {run['pairs']} pairs in {run['out']}" for run in runs)
    emit(runs[0] if len(runs) == 1 else {"runs": runs}, as_json, text)


def _chosen(names: list[str], command_line: str | None, checkpoint: Path | None) -> list[Method]:
    """The methods that are named; `command` takes the command line, `warp_net` the checkpoint.

    Raises:
        ConfigError: a name twice or unknown, or an option without its method or the other way round.
        CheckpointError: the checkpoint cannot be used.
    """
    from .._shared.errors import ConfigError
    from ..methods.external import chosen_method

    if len(set(names)) < len(names):
        raise ConfigError(f"METHOD {','.join(names)}: one of them stands there twice; name each once")
    if ("warp_net" in names) != (checkpoint is not None):
        raise ConfigError(
            "--checkpoint goes with the method `warp_net`, and the method `warp_net` with --checkpoint: the run "
            "directory of `train-warp`"
        )
    if command_line is not None and "command" not in names:
        raise ConfigError("--command goes with the method `command`, and the method `command` with --command")
    return [
        _learned(checkpoint)
        if name == "warp_net" and checkpoint is not None
        else chosen_method(name, command_line if name == "command" else None)
        for name in names
    ]


def _learned(checkpoint: Path) -> Method:
    from ..warping.method import warp_net_method

    return warp_net_method(checkpoint)


@command(
    app,
    "train-warp",
    examples=[
        "tryon-bench train-warp DATA --recipe tiny --run-dir runs/warp",
        "torchrun --nproc-per-node 4 -m tryon_bench train-warp VITON-HD --recipe vitonhd --run-dir runs/hd --resume",
    ],
)
def train_warp_command(
    data: DataArgument,
    run_dir: RunDirOption,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="NAME", help="Settings to start from: tiny or vitonhd.")
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps.")] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", min=0, help="Stop after this many minutes.")
    ] = None,
    fmt: FormatOption = "auto",
    pairs: PairsOption = None,
    split: Annotated[str | None, typer.Option("--split", metavar="NAME", help="test or train.")] = None,
    scheme: SchemeOption = None,
    folder: FolderOption = None,
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
    """Train a network that warps garments; safe to kill at any time, --resume goes on bit-exactly."""
    from .._shared.config import load_config
    from ..data.open import open_dataset
    from ..warping.config import WarpConfig
    from ..warping.recipes import read_warp_recipe
    from ..warping.train import train_warp

    flags = {"split": split, "train.max_steps": steps, "train.max_minutes": max_minutes, "train.seed": seed}
    base = None if recipe is None else read_warp_recipe(recipe)
    chosen = load_config(WarpConfig, config, settings, flags, base=base)
    dataset = open_dataset(
        data, fmt, "paired", pairs, split=chosen.split, parse_scheme=scheme, folders=role_folders(folder)
    )
    result = train_warp(
        dataset, chosen, run_dir, device=device, resume=resume, allow_config_change=allow, quiet=quiet
    )
    emit(
        {
            "run_dir": str(run_dir),
            "step": result.step,
            "stopped": result.stopped,
            "l1": result.best_metric,
            "pairs": len(dataset.samples) - chosen.held_out,
            "held_out": chosen.held_out,
        },
        as_json,
        f"{result.step} steps on {len(dataset.samples) - chosen.held_out} pairs ({result.stopped}), L1 on "
        f"{chosen.held_out} held-out pairs {result.best_metric:.4f}\n{run_dir}",
    )
