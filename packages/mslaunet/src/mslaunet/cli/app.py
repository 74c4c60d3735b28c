"""The application and the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .._shared.cli import make_app

app = make_app("mslaunet", "Medical image segmentation with MSLAU-Net (arXiv 2505.18823).")

ModelOption = Annotated[
    Path, typer.Option("--model", metavar="DIR", help="A run directory, or a model directory of `convert`.")
]
KeepOption = Annotated[
    bool, typer.Option("--resume", metavar="", help="Keep the masks that are there, make the others.")
]
PartOption = Annotated[
    Literal["test", "validation", "train"],
    typer.Option("--part", help="Cases of a data set: for testing, of its own validation part, or for training."),
]
MinutesOption = Annotated[float | None, typer.Option("--max-minutes", min=0, help="Stop after this many minutes.")]
