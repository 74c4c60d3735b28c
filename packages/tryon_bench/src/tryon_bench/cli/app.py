"""The application and the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .._shared.cli import make_app

app = make_app("tryon-bench", "One trustworthy evaluation of virtual try-on methods (survey arXiv 2311.04811).")

SettingName = Literal["paired", "unpaired"]
FormatName = Literal["auto", "vitonhd", "dresscode", "viton", "survey-viton", "mpv", "manifest"]

DataArgument = Annotated[Path, typer.Argument(metavar="DATA", help="A data set's folder, or a manifest.")]
SettingOption = Annotated[SettingName, typer.Option("--setting", help="The worn garment, or another one.")]
FormatOption = Annotated[FormatName, typer.Option("--format", help="Layout of the data set.")]
PairsOption = Annotated[
    Path | None, typer.Option("--pairs", metavar="FILE", help="List to read instead of the published one.")
]
SplitOption = Annotated[str, typer.Option("--split", metavar="NAME", help="test or train.")]
SchemeOption = Annotated[
    str | None,
    typer.Option("--parse-scheme", metavar="NAME", help="Label ids: lip, vitonhd, atr, gp-vton, acgpn."),
]
FolderOption = Annotated[
    list[str] | None,
    typer.Option("--folder", metavar="ROLE=NAME", help="Folder of a role, such as parse=seg; repeatable."),
]
PatternOption = Annotated[
    str, typer.Option("--pattern", metavar="NAME", help="How results are named: auto, a built-in or a template.")
]
AllowMissingOption = Annotated[
    bool, typer.Option("--allow-missing", metavar="", help="Accept pairs without a result; n says so.")
]
RegistryOption = Annotated[
    Path, typer.Option("--methods", metavar="FILE", help="File of registered methods, see `register`.")
]
OptionalRegistryOption = Annotated[
    Path | None, typer.Option("--methods", metavar="FILE", help="Registered methods to take as well.")
]
PredOption = Annotated[
    list[str] | None,
    typer.Option("--pred", metavar="NAME=DIR", help="A method's results; repeatable."),
]


def named_folders(texts: list[str] | None) -> dict[str, Path]:
    """`--pred NAME=DIR` as a mapping.

    Raises:
        ConfigError: a text without "=", or a name twice.
    """
    from .._shared.errors import ConfigError

    folders: dict[str, Path] = {}
    for text in texts or ():
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise ConfigError(f"--pred expects NAME=DIR, got {text!r}")
        if name in folders:
            raise ConfigError(f"--pred {name}=...: given twice; use two names")
        folders[name] = Path(folder)
    return folders


def height_width(text: str) -> tuple[int, int]:
    """`HEIGHTxWIDTH` as two numbers.

    Raises:
        ConfigError: anything else.
    """
    from .._shared.errors import ConfigError

    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ConfigError(f"--size {text!r}: expected HEIGHTxWIDTH, such as 512x384")
    return int(height), int(width)


def role_folders(texts: list[str] | None) -> dict[str, str]:
    """`--folder ROLE=NAME` as a mapping.

    Raises:
        ConfigError: a text without "=".
    """
    from .._shared.errors import ConfigError

    folders = {}
    for text in texts or ():
        role, equals, name = text.partition("=")
        if not (role and equals and name):
            raise ConfigError(f"--folder expects ROLE=NAME, got {text!r}")
        folders[role] = name
    return folders
