"""Commands about data sets and results. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._shared.cli import DebugOption, JsonOption, command, emit
from .app import (
    AllowMissingOption,
    DataArgument,
    FolderOption,
    FormatOption,
    PairsOption,
    PatternOption,
    RegistryOption,
    SchemeOption,
    SettingOption,
    SplitOption,
    app,
    role_folders,
)

METHODS = Path("methods.json")


@command(
    app,
    "register",
    examples=[
        "tryon-bench register DATA stableviton RESULTS --setting unpaired",
        "tryon-bench register DATA catvton RESULTS --panels 3 --pattern '{person_stem}.{ext}'",
    ],
)
def register_command(
    data: DataArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="How tables call the method.")],
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Folder, zip or tar of its images.")],
    methods: RegistryOption = METHODS,
    setting: SettingOption = "paired",
    fmt: FormatOption = "auto",
    pairs: PairsOption = None,
    split: SplitOption = "test",
    scheme: SchemeOption = None,
    folder: FolderOption = None,
    pattern: PatternOption = "auto",
    panels: Annotated[int, typer.Option("--panels", min=1, help="The result is the rightmost of so many.")] = 1,
    allow_missing: AllowMissingOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Register a method's results, whatever their names are, so that `evaluate` takes them."""
    from ..data.open import open_dataset
    from ..data.registered import register

    dataset = open_dataset(
        data, fmt, setting, pairs, split=split, parse_scheme=scheme, folders=role_folders(folder)
    )
    entry = register(dataset, name, results, methods, pattern, allow_missing=allow_missing, panels=panels)
    emit(
        entry.model_dump(),
        as_json,
        f"{entry.name}: {entry.results} of {entry.expected} {setting} pairs of {entry.pairs}, pattern "
        f"{entry.pattern}; in {methods}",
    )
