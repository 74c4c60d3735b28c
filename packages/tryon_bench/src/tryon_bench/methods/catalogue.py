"""The methods by their ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import ConfigError
from .compose import Compose, composed
from .interface import Conditions, Image, Method

Function = Callable[[Image, Image, Conditions], Image]
Warp = Callable[[Image, Image, Conditions], NDArray[np.float64]]

_METHODS: dict[str, Method] = {}


@dataclass(frozen=True)
class FunctionMethod:
    """A pure function as a method."""

    id: str
    version: str
    function: Function
    note: str = ""

    def __call__(self, person: Image, garment: Image, conditions: Conditions) -> Image:
        """Call the function."""
        return self.function(person, garment, conditions)


@dataclass(frozen=True)
class WarpMethod:
    """A warp of the garment, laid over the person in one of several ways.

    Attributes:
        id: under which it is registered.
        warp_version: changes with the warp.
        warp: person, garment and conditions -> (H, W, 2), where each pixel lies in the garment, x and y in 0..1.
        compose: how the warped garment is laid over the person.
        note: what has to stand beside its numbers.
    """

    id: str
    warp_version: str
    warp: Warp
    compose: Compose = "paste"
    note: str = ""

    @property
    def version(self) -> str:
        """The warp's version and, if it is not pasted, how it is laid over."""
        return self.warp_version if self.compose == "paste" else f"{self.warp_version}+{self.compose}"

    def __call__(self, person: Image, garment: Image, conditions: Conditions) -> Image:
        """Warp and compose."""
        return composed(person, garment, self.warp(person, garment, conditions), conditions, self.compose)


def registered(method_id: str, version: str = "1", note: str = "") -> Callable[[Function], Function]:
    """Register a function under an id; the function itself stays as it is. Leaderboards repeat the note.

    Raises:
        ConfigError: the id is taken.
    """

    def register(function: Function) -> Function:
        _register(FunctionMethod(method_id, version, function, note))
        return function

    return register


def registered_warp(method_id: str, version: str = "1", note: str = "") -> Callable[[Warp], Warp]:
    """Register a backward map under an id; every way of composing then comes for free. Leaderboards repeat the note.

    Raises:
        ConfigError: the id is taken.
    """

    def register(warp: Warp) -> Warp:
        _register(WarpMethod(method_id, version, warp, note=note))
        return warp

    return register


def method_ids() -> list[str]:
    """Ids of all methods that run without any file of the user."""
    _load()
    return sorted(_METHODS)


def get_method(method_id: str, compose: Compose = "paste") -> Method:
    """A method by its id.

    Args:
        method_id: see `method_ids`.
        compose: how a warped garment is laid over the person.

    Raises:
        ConfigError: there is none, or it warps nothing and shall compose.
    """
    _load()
    if method_id not in _METHODS:
        raise ConfigError(
            f"method {method_id!r} is unknown; choose one of {', '.join(method_ids())}, or run a program of yours "
            "with `command --command '...'`, or a trained warp with `warp_net --checkpoint RUN`"
        )
    return with_compose(_METHODS[method_id], compose)


def with_compose(method: Method, compose: Compose) -> Method:
    """The same warp, laid over the person in another way.

    Raises:
        ConfigError: the method warps nothing, so that there is nothing to compose.
    """
    if isinstance(method, WarpMethod):
        return replace(method, compose=compose)
    if compose != "paste":
        raise ConfigError(f"--compose {compose}: {method.id} warps no garment; leave the option out")
    return method


def _register(method: Method) -> None:
    if method.id in _METHODS:
        raise ConfigError(f"method {method.id!r} is registered twice; choose another id")
    _METHODS[method.id] = method


def _load() -> None:
    from . import appearance_flow, baselines, contour, keypoint_warps, known  # noqa: F401  # they register themselves
