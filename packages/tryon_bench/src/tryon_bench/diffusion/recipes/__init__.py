"""The recipes of `train-pbe`: settings as TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..._shared.config import read_toml
from ..._shared.errors import ConfigError

_FOLDER = Path(__file__).parent


def recipe_names() -> list[str]:
    """Names of all recipes.

    Example:
        >>> "tiny" in recipe_names()
        True
    """
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read_recipe(name: str) -> dict[str, Any]:
    """Settings of a recipe, to be laid under a configuration.

    Raises:
        ConfigError: there is no such recipe; the message lists those that there are.
    """
    if name not in recipe_names():
        raise ConfigError(f"recipe {name!r} is unknown; choose one of {', '.join(recipe_names())}")
    return read_toml(_FOLDER / f"{name}.toml")
