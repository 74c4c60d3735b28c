"""Settings: frozen pydantic models, filled from defaults, a TOML file, `--set` and flags, in that order."""

from __future__ import annotations

import difflib
import json
import re
import reprlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import ConfigError

M = TypeVar("M", bound=BaseModel)


class FrozenModel(BaseModel):
    """Base of every settings model: read-only, no unknown keys, defaults are checked, numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def load_config(
    model: type[M],
    path: Path | None = None,
    sets: Sequence[str] | None = None,
    flags: Mapping[str, Any] | None = None,
    *,
    base: Mapping[str, Any] | None = None,
) -> M:
    """Build the settings of a command; the later source wins: defaults, `base`, file, `sets`, `flags`.

    Args:
        model: the settings' class.
        path: a TOML file.
        sets: texts such as "train.lr=1e-3"; the value is a TOML value, or else the text itself.
        flags: dotted key to value; None means that the flag was not given.
        base: nested values below those of the file, such as a recipe's.

    Raises:
        ConfigError: one line with everything that is wrong, unknown keys with the nearest known one.

    Example:
        >>> class Train(FrozenModel):
        ...     lr: float = 0.1
        >>> load_config(Train, sets=["lr=1e-3"])
        Train(lr=0.001)
    """
    values = _merged(base or {}, {} if path is None else read_toml(path))
    problems: list[str] = []
    for key, value in _parse_sets(sets or (), problems):
        _assign(values, key, value)
    for key, value in (flags or {}).items():
        if value is not None:
            _assign(values, key, value)
    try:
        settings = model.model_validate(values)
    except ValidationError as err:
        problems += _describe(err, model)
        raise ConfigError("config: " + "; ".join(problems)) from err
    if problems:
        raise ConfigError("config: " + "; ".join(problems))
    return settings


def completed(values: Any, defaults: Mapping[str, BaseModel]) -> Any:
    """Tables that are given in part, the rest taken from a field's own default.

    pydantic would take the rest from the defaults of the field's class, so that one setting given would undo all others
    of a default such as `stage: Train = Train(lr=1e-4, clip_norm=1.0)`. For a validator of mode "before".

    Args:
        values: what is validated.
        defaults: fields whose default is more than its class's.

    Example:
        >>> class Train(FrozenModel):
        ...     lr: float = 0.1
        ...     epochs: int = 1
        >>> completed({"train": {"epochs": 3}}, {"train": Train(lr=0.5)})
        {'train': {'lr': 0.5, 'epochs': 3}}
    """
    if not isinstance(values, Mapping):
        return values
    given = {name: values[name] for name in defaults if isinstance(values.get(name), Mapping)}
    return {**values, **{k: {**defaults[k].model_dump(exclude_unset=True), **v} for k, v in given.items()}}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: it is missing, not a file, not text, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(f"config file {path.name!r} cannot be read: {err.strerror}; check the path") from err
    except (ValueError, RecursionError) as err:  # broken TOML or UTF-8, an absurdly long number or deep list
        raise ConfigError(f"config file {path.name!r} is not TOML: {err}; correct that place") from err


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables laid over each other."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(value, Mapping) and isinstance(under, Mapping) else value
    return {key: _merged(value, {}) if isinstance(value, Mapping) else value for key, value in merged.items()}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one mapping with dotted keys.

    Example:
        >>> flatten({"train": {"lr": 0.1}})
        {'train.lr': 0.1}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def to_toml(model: BaseModel) -> str:
    """Resolved settings as TOML; `load_config` reads them back as an equal object. None values are left out.

    Raises:
        ConfigError: a value cannot be written so, such as a None where the default is something else.

    Example:
        >>> class Train(FrozenModel):
        ...     lr: float = 0.1
        ...     note: str = "a b"
        >>> print(to_toml(Train()), end="")
        lr = 0.1
        note = "a b"
    """
    text = "".join(_table(model.model_dump(mode="json", exclude_none=True), ""))
    try:
        text.encode()
        same = type(model).model_validate(tomllib.loads(text)) == model
    except ValueError as err:  # not TOML, not valid settings, or not Unicode: all three are ValueErrors
        raise ConfigError(f"config: the settings cannot be written as TOML: {_one_line(err)}") from err
    if not same:
        raise ConfigError(
            "config: the settings cannot be written as TOML: a None stands where the default is a value"
        )
    return text


def _parse_sets(sets: Sequence[str], problems: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield key and value of every `--set`, collecting what is wrong with the others."""
    seen: list[str] = []
    for text in sets:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            problems.append(f"--set expects KEY=VALUE, got {text!r}")
        elif any(f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.") for other in seen):
            problems.append(f"{key}: given twice by --set; keep one")
        else:
            seen.append(key)
            yield key, _parse_value(value.strip())


def _parse_value(text: str) -> Any:
    """A TOML value where the text is one (number, boolean, quoted text, list, table), else the text itself."""
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # not TOML, or a number too long or a list too deep for Python
        return text
    value = document.pop("value")
    # A line break in the text could start further keys; a bare date is more likely meant as a name.
    return value if not document and isinstance(value, bool | int | float | str | list | dict) else text


def _assign(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, leaf = dotted.split(".")
    for name in parents:
        child = tree.get(name)
        if not isinstance(child, dict):  # a scalar there is wrong anyway, and the model will say so
            child = tree[name] = {}
        tree = child
    tree[leaf] = value


def _describe(err: ValidationError, model: type[BaseModel]) -> list[str]:
    """One phrase per problem: where, what is expected, what was received, the nearest key."""
    phrases = []
    for problem in err.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            phrases.append(f"{where}: unknown key{_suggestion(where, model)}")
        elif problem["type"] == "missing":
            phrases.append(f"{where}: a value is required, for example --set {where}=...")
        else:
            received = reprlib.repr(problem["input"])  # short, however long or deep the value is
            phrases.append(f"{where}: {_one_line(problem['msg'])} (got {received})" if where else problem["msg"])
    return phrases


def _suggestion(dotted: str, model: type[BaseModel]) -> str:
    """The same name in another table, or else a similar name in the same table, or else all names there."""
    known = list(_keys(model))
    table, dot, leaf = dotted.rpartition(".")
    here = [key.removeprefix(table + dot) for key in known if key.rpartition(".")[0] == table]
    near = [key for key in known if key.rpartition(".")[2] == leaf]
    near += [table + dot + name for name in difflib.get_close_matches(leaf, here, 1)]
    return f", did you mean {near[0]!r}?" if near else f"; known here: {', '.join(sorted(here))}"


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _keys(kind, f"{prefix}{name}.")


def _table(values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """TOML lines of a table: its own values first, then its sub-tables."""
    for key, value in values.items():
        if not isinstance(value, Mapping):
            yield f"{_key(key)} = {_value(value)}\n"
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"\n[{prefix}{_key(key)}]\n"
            yield from _table(value, f"{prefix}{_key(key)}.")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    # JSON writes booleans, numbers and text as TOML does, but for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
