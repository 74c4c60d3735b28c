"""Commands of the methods that run here. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .._shared.cli import DebugOption, JsonOption, QuietOption, ResumeOption, SeedOption, command, emit
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

ComposeOption = Annotated[
    Literal["paste", "feather", "poisson", "poisson_mixed", "pyramid"],
    typer.Option("--compose", help="How a warped garment is laid over the person."),
]


@command(
    app,
    "run",
    examples=[
        "tryon-bench run tps_contour DATA --out runs/tps --setting unpaired",
        "tryon-bench run flow DATA --out runs/flow --compose feather",
        "tryon-bench run command DATA --out runs/photos --command 'cp {person} {out}'",
    ],
)
def run_command(
    method: Annotated[
        str,
        typer.Argument(metavar="METHOD", help="tps_contour, flow, ... (an unknown one lists all), or command."),
    ],
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the results go, as PNG.")],
    command_line: Annotated[
        str | None, typer.Option("--command", metavar="TEXT", help="Your program, with {person} {garment} {out}.")
    ] = None,
    compose: ComposeOption = "paste",
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
    from ..methods.external import chosen_method
    from ..methods.run import run_method

    chosen = with_compose(chosen_method(method, command_line), compose)
    dataset = open_dataset(
        data, fmt, setting, pairs, split=split, parse_scheme=scheme, folders=role_folders(folder)
    )
    made = run_method(chosen, dataset, out, seed=seed or 0, resume=resume, quiet=quiet)
    emit(
        {
            "method": chosen.id,
            "version": chosen.version,
            "out": str(out),
            "made": made,
            "pairs": len(dataset.samples),
        },
        as_json,
        f"{made} results made, {len(dataset.samples)} pairs in {out}",
    )
