"""The recipes that come with the package: settings as TOML, `official` and `sound` for each data set."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

from .._shared.errors import ConfigError


def recipe_names() -> tuple[str, ...]:
    """Names of all recipes.

    Example:
        >>> "synapse-official" in recipe_names()
        True
    """
    folder = files(__package__)
    return tuple(
        sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    )


def read_recipe(name: str) -> dict[str, Any]:
    """Settings of a recipe, to be laid under a configuration.

    Raises:
        ConfigError: there is no such recipe; the message lists those that there are.
    """
    if name not in recipe_names():
        raise ConfigError(f"recipe {name!r} is unknown; choose one of {', '.join(recipe_names())}")
    return tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
