"""The methods by their ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .._shared.errors import ConfigError
from .interface import Conditions, Image, Method

Function = Callable[[Image, Image, Conditions], Image]

_METHODS: dict[str, Method] = {}


@dataclass(frozen=True)
class FunctionMethod:
    """A pure function as a method."""

    id: str
    version: str
    function: Function

    def __call__(self, person: Image, garment: Image, conditions: Conditions) -> Image:
        """Call the function."""
        return self.function(person, garment, conditions)


def registered(method_id: str, version: str = "1") -> Callable[[Function], Function]:
    """Register a function under an id; the function itself stays as it is.

    Raises:
        ConfigError: the id is taken.
    """

    def register(function: Function) -> Function:
        if method_id in _METHODS:
            raise ConfigError(f"method {method_id!r} is registered twice; choose another id")
        _METHODS[method_id] = FunctionMethod(method_id, version, function)
        return function

    return register


def method_ids() -> list[str]:
    """Ids of all methods that run without any file of the user."""
    _load()
    return sorted(_METHODS)


def get_method(method_id: str) -> Method:
    """A method by its id.

    Raises:
        ConfigError: there is none.
    """
    _load()
    if method_id not in _METHODS:
        raise ConfigError(
            f"method {method_id!r} is unknown; choose one of {', '.join(method_ids())}, or run a program of yours "
            "with `command --command '...'`"
        )
    return _METHODS[method_id]


def _load() -> None:
    from . import baselines, contour  # noqa: F401  # they register themselves
