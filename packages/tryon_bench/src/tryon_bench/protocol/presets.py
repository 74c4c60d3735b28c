"""The presets: published evaluation programs as protocols, and protocols of a user's own that build on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .._shared.config import load_config, read_toml
from .._shared.errors import ConfigError
from .schema import Protocol

_RECIPES = Path(__file__).with_name("recipes")
DEFAULT = "tryon-bench-1"


def preset_names() -> list[str]:
    """Names of all presets, the default first.

    Example:
        >>> preset_names()[0]
        'tryon-bench-1'
    """
    names = sorted(path.stem for path in _RECIPES.glob("*.toml"))
    return [DEFAULT, *(name for name in names if name != DEFAULT)]


def load_protocol(name_or_path: str | Path) -> Protocol:
    """A preset by its name, or a protocol from a TOML file.

    A file may say `extends = "<preset or file beside it>"` and change single fields; lists replace lists.

    Raises:
        ConfigError: no such preset or file, a damaged file, a field that the schema refuses, or files that extend
            each other.

    Example:
        >>> load_protocol("hr-viton").ssim
        ('gray_gaussian',)
    """
    path = _find(str(name_or_path), Path())
    values = _resolved(path, [])
    values.setdefault("name", path.stem)
    try:
        return Protocol.model_validate(values)
    except ValidationError:
        try:
            load_config(Protocol, flags=values)  # the same values again, for the words of the errors
        except ConfigError as err:
            raise ConfigError(f"protocol {path.name!r}: {str(err).removeprefix('config: ')}") from err
        raise


def _find(name: str, folder: Path) -> Path:
    if name.endswith(".toml"):
        return folder / name
    path = _RECIPES / f"{name}.toml"
    if name not in preset_names():
        raise ConfigError(
            f"protocol {name!r} is unknown; choose one of {', '.join(preset_names())}, or give a .toml file"
        )
    return path


def _resolved(path: Path, seen: list[Path]) -> dict[str, Any]:
    """Values of a file over those of what it extends."""
    if path.resolve() in seen:
        raise ConfigError(f"protocol {path.name!r}: extends itself; remove one `extends`")
    values = read_toml(path)
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"protocol {path.name!r}: extends: expected the name of a preset or a .toml file")
    inherited = _resolved(_find(base, path.parent), [*seen, path.resolve()])
    # what was written about the other protocol is not true of this one
    inherited.pop("name", None)
    inherited.pop("notes", None)
    return inherited | values
