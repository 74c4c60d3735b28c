"""Settings that are shipped as TOML files, by name."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from .._shared.config import read_toml
from .._shared.errors import ConfigError


def recipe_names() -> list[str]:
    """Names of all recipes.

    Example:
        >>> "cmsl" in recipe_names()
        True
    """
    return sorted(
        entry.name.removesuffix(".toml") for entry in files(__name__).iterdir() if entry.name.endswith(".toml")
    )


def recipe_path(name: str) -> Path:
    """File of a recipe.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in recipe_names():
        raise ConfigError(f"expected a recipe among {', '.join(recipe_names())}, got {name!r}")
    return Path(str(files(__name__) / f"{name}.toml"))


def read_recipe(name: str) -> dict[str, Any]:
    """Settings of a recipe.

    Raises:
        ConfigError: there is none of that name.
    """
    return read_toml(recipe_path(name))
