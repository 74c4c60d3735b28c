"""The recipes of `train-warp`: settings as TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..._shared.config import read_toml
from ..._shared.errors import ConfigError

RECIPES = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}


def read_warp_recipe(name: str) -> dict[str, Any]:
    """Settings of a recipe, to be laid under a configuration.

    Raises:
        ConfigError: there is no such recipe.

    Example:
        >>> read_warp_recipe("tiny")["split"]
        'test'
    """
    if name not in RECIPES:
        raise ConfigError(f"recipe {name!r} is unknown; choose one of {', '.join(RECIPES)}")
    return read_toml(RECIPES[name])
