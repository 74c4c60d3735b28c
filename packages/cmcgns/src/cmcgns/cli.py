"""The `cmcgns` command: says that the package is not built yet."""

from __future__ import annotations

import typer

from ._shared.cli import VersionOption

app = typer.Typer(name="cmcgns", add_completion=False)


# Any arguments are accepted, so that whatever a user tries gets the same one answer.
@app.command("cmcgns", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def answer(version: VersionOption = False) -> None:
    """Chest X-ray and report pretraining, retrieval and grounding. Not built yet: version 0.2.0 brings it."""
    typer.echo("cmcgns is not built yet: version 0.2.0 brings it", err=True)
    raise typer.Exit(1)
