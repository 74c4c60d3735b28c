"""The `tryon-bench` command: says that the package is not built yet."""

from __future__ import annotations

import typer

from ._shared.cli import VersionOption

app = typer.Typer(name="tryon-bench", add_completion=False)


# Any arguments are accepted, so that whatever a user tries gets the same one answer.
@app.command("tryon-bench", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def answer(version: VersionOption = False) -> None:
    """Evaluate virtual try-on methods in one trustworthy way. Not built yet: version 0.2.0 brings it."""
    typer.echo("tryon-bench is not built yet: version 0.2.0 brings it", err=True)
    raise typer.Exit(1)
