"""Settings that are shipped as TOML files, by name."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

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


def config_path(given: Path | None) -> Path | None:
    """A settings file, or the recipe that is meant by a bare name that is no file."""
    if given is None or given.exists() or given.suffix or str(given) not in recipe_names():
        return given
    return recipe_path(str(given))
