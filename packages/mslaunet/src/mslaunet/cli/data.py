"""Commands about data sets. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .._shared.assets_cli import assets_app
from .._shared.cli import (
    DebugOption,
    JsonOption,
    SeedOption,
    command,
    emit,
)
from .app import app

app.add_typer(assets_app("mslaunet"), name="assets")


@command(
    app,
    "synth",
    examples=["mslaunet synth nnunet DATA", "mslaunet synth folders POLYPS --cases 8 --seed 1"],
)
def synth_command(
    layout: Annotated[Literal["nnunet", "folders"], typer.Argument(metavar="FORMAT", help="nnunet or folders.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty or new folder.")],
    cases: Annotated[int, typer.Option("--cases", min=1, help="Number of cases.")] = 6,
    side: Annotated[int, typer.Option("--side", min=16, help="In-plane size, pixels.")] = 64,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a tiny valid data set with a known answer."""
    from ..synth import write_synthetic

    write_synthetic(layout, directory, cases=cases, side_px=side, seed=seed or 0)
    emit({"format": layout, "directory": str(directory), "cases": cases}, as_json, f"{cases} cases in {directory}")
