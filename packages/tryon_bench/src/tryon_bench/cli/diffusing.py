"""Commands of ControlNet-guided Paint-by-Example. Thin: nothing heavy is imported before one runs."""

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


@command(
    app,
    "train-pbe",
    examples=[
        "tryon-bench train-pbe DATA --recipe tiny --run-dir runs/tiny",
        "torchrun --nproc-per-node 8 -m tryon_bench train-pbe VITON-HD --recipe vitonhd --base PBE --run-dir runs/pbe",
    ],
)
def train_pbe_command(
    data: DataArgument,
    run_dir: RunDirOption,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="NAME", help="Settings to start from: tiny, vitonhd, cat-dm.")
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="DIR", help="Paint-by-Example: a folder, owner/name on the hub, or tiny."),
    ] = None,
    lora: Annotated[
        int | None, typer.Option("--lora", metavar="RANK", min=0, help="Train adapters on the base UNet too.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps of the ControlNet.")] = None,
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
    """Train a ControlNet on a frozen Paint-by-Example; safe to kill at any time, --resume goes on bit-exactly."""
    from .._shared.config import load_config
    from ..data.open import open_dataset
    from ..diffusion.config import DiffusionConfig
    from ..diffusion.recipes import read_recipe
    from ..diffusion.train import train_pbe

    flags = {
        "base": str(Path(base).resolve()) if base and Path(base).is_dir() else base,
        "lora_rank": lora,
        "split": split,
        "train.max_steps": steps,
        "train.max_minutes": max_minutes,
        "train.seed": seed,
        "tiny_base.vae.seed": seed,
        "tiny_base.joint.seed": seed,
    }
    chosen = load_config(
        DiffusionConfig, config, settings, flags, base=None if recipe is None else read_recipe(recipe)
    )
    dataset = open_dataset(
        data, fmt, "paired", pairs, split=chosen.split, parse_scheme=scheme, folders=role_folders(folder)
    )
    result = train_pbe(
        dataset, chosen, run_dir, device=device, resume=resume, allow_config_change=allow, quiet=quiet
    )
    emit(
        {
            "run_dir": str(run_dir),
            "step": result.step,
            "stopped": result.stopped,
            "loss": result.best_metric,
            "pairs": len(dataset.samples) - chosen.validation_pairs,
            "controlnet": str(run_dir / "controlnet"),
        },
        as_json,
        f"step {result.step} ({result.stopped}); best loss {result.best_metric}; ControlNet in {run_dir}/controlnet",
    )


@command(
    app,
    "sample",
    examples=[
        "tryon-bench sample DATA --model runs/tiny --out RESULTS --steps 20",
        "tryon-bench sample DATA --model runs/pbe --out RESULTS --setting unpaired --guidance 5 --compose poisson",
    ],
)
def sample_command(
    data: DataArgument,
    model: Annotated[Path, typer.Option("--model", metavar="DIR", help="The run directory of train-pbe.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the results go, as PNG.")],
    scheduler: Annotated[
        Literal["ddim", "unipc"], typer.Option("--scheduler", help="Both without noise on the way.")
    ] = "ddim",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of the scheduler.")] = 30,
    guidance: Annotated[
        float, typer.Option("--guidance", min=0, help="Weight of the garment's token; 1 needs one pass, not two.")
    ] = 1.0,
    compose: Annotated[
        Literal["none", "paste", "feather", "poisson"],
        typer.Option("--compose", help="How result and photo are put together."),
    ] = "paste",
    start: Annotated[
        Path | None, typer.Option("--start", metavar="DIR", help="Results to begin with, as of `run tps_contour`.")
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength", min=0, max=1, help="With --start: share of the noise that is added; 0.6 without this."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Pairs at once.")] = 4,
    setting: SettingOption = "paired",
    fmt: FormatOption = "auto",
    pairs: PairsOption = None,
    split: SplitOption = "test",
    scheme: SchemeOption = None,
    folder: FolderOption = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="K/N", help="Make every N-th pair; all parts share --out.")
    ] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Dress everybody of a data set with a model of train-pbe; the results are in the form that evaluate takes."""
    from .._shared.errors import ConfigError
    from ..data.open import open_dataset
    from ..diffusion.sample import SampleRequest, sample_dataset
    from ..diffusion.sampler import SamplerSettings
    from ..diffusion.storage import load_trained
    from ..engine.processes import parse_shard

    if strength is not None and start is None:
        raise ConfigError("--strength goes with --start: the folder of results to begin with")
    request = SampleRequest(
        SamplerSettings(scheduler, steps, guidance, 0.6 if strength is None else strength),
        compose,
        batch_size,
        seed or 0,
        start,
        parse_shard(shard),
    )
    dataset = open_dataset(
        data, fmt, setting, pairs, split=split, parse_scheme=scheme, folders=role_folders(folder)
    )
    trained = load_trained(model)
    made = sample_dataset(trained, dataset, out, request, device=device, resume=resume, quiet=quiet)
    emit(
        {
            "out": str(out),
            "made": made,
            "pairs": len(dataset.samples),
            "model_sha256": trained.sha256,
            "note": trained.note,
        },
        as_json,
        f"{made} results made, {len(dataset.samples)} pairs in {out}"
        + (f" ({trained.note})" if trained.note else ""),
    )
