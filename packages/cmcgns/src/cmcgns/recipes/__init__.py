"""Settings that come with the package, as TOML files."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import ConfigError

_HERE = Path(__file__).parent


def recipes() -> list[str]:
    """Names of the recipes."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def recipe_path(name: str | None, config: Path | None = None) -> Path | None:
    """The file of a recipe, or the user's own file.

    Raises:
        ConfigError: no such recipe, or both were given.

    Example:
        >>> recipe_path("tiny").name
        'tiny.toml'
    """
    if name is None:
        return config
    if config is not None:
        raise ConfigError("--recipe and --config were both given: copy the recipe's settings into your file")
    path = _HERE / f"{name}.toml"
    if name not in recipes():
        raise ConfigError(f"--recipe: expected one of {', '.join(recipes())}, got {name!r}")
    return path
