"""The application and the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._shared.assets_cli import assets_app
from .._shared.cli import make_app

app = make_app(
    "cmcgns", "Chest X-ray and report pretraining with CM-CGNS (arXiv 2506.11674), and what to do with it."
)
app.add_typer(assets_app("cmcgns"), name="assets")

ModelOption = Annotated[
    Path, typer.Option("--model", metavar="DIR", help="A run directory, a model directory, or hub:owner/name.")
]
MinutesOption = Annotated[float | None, typer.Option("--max-minutes", min=0, help="Stop after this many minutes.")]
AllowOption = Annotated[
    bool, typer.Option("--allow", metavar="", help="Continue although settings or data changed.")
]
