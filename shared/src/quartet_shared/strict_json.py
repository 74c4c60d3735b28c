"""JSON that every parser reads: no NaN, no infinity, nothing but plain values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Text of a value; NaN and infinities become null, because JSON has no word for them.

    Args:
        value: mappings, sequences, sets (sorted), text, numbers, paths; NumPy scalars and arrays.
        indent: spaces per level, one line where None.

    Raises:
        TypeError: a value of another kind.

    Example:
        >>> to_json({"dice": float("nan"), "cases": (1, 2)})
        '{"dice": null, "cases": [1, 2]}'
    """
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [_plain(item) for item in sorted(value)]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy and torch values, without importing either
        return _plain(value.tolist())
    raise TypeError(f"expected a plain value for JSON, got {type(value).__name__}")
