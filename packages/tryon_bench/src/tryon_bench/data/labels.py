"""Label ids of human parsing: four schemes that number the same garments differently.

A label map is read by index (palette PNGs keep theirs); which scheme it follows decides what an id means.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from .._shared.errors import ConfigError

Scheme = Literal["lip", "vitonhd", "atr", "gp-vton", "acgpn"]
Category = Literal["upper_body", "lower_body", "dresses"]
CATEGORIES: tuple[Category, ...] = ("upper_body", "lower_body", "dresses")

_LIP = (
    *("background", "hat", "hair", "glove", "sunglasses", "upper clothes", "dress", "coat", "socks", "pants"),
    *("jumpsuit", "scarf", "skirt", "face", "left arm", "right arm", "left leg", "right leg"),
    *("left shoe", "right shoe"),
)
_ATR = (
    *("background", "hat", "hair", "sunglasses", "upper clothes", "skirt", "pants", "dress", "belt", "left shoe"),
    *("right shoe", "face", "left leg", "right leg", "left arm", "right arm", "bag", "scarf", "neck"),
)
_GP_VTON = (
    *("background", "hat", "hair", "glove", "sunglasses", "upper torso", "dress torso", "coat torso", "socks"),
    *("left pants", "right pants", "neck", "scarf", "skirt", "face", "left arm", "right arm", "left leg"),
    *("right leg", "left shoe", "right shoe", "left upper sleeve", "right upper sleeve", "bag"),
    *("left dress sleeve", "right dress sleeve", "left coat sleeve", "right coat sleeve", "belt"),
)
_ACGPN = (
    *("background", "hair", "", "", "upper clothes", "left shoe", "right shoe", "noise", "pants", "left leg"),
    *("right leg", "left arm", "face", "right arm"),
)

NAMES: Mapping[Scheme, tuple[str, ...]] = MappingProxyType(
    {
        "lip": _LIP,
        # the maps of VITON-HD come from a parser that gives id 10 to the skin of torso and neck
        "vitonhd": (*_LIP[:10], "torso skin", *_LIP[11:]),
        "atr": _ATR,
        "gp-vton": _GP_VTON,
        "acgpn": _ACGPN,
    }
)

# The garment that each category exchanges. DressCode's own loader forgets the skirts (5) of lower_body.
_GARMENT: Mapping[Scheme, Mapping[Category, frozenset[int]]] = {
    "lip": {"upper_body": frozenset({5, 6, 7}), "lower_body": frozenset({9, 12}), "dresses": frozenset({6, 10})},
    "vitonhd": {"upper_body": frozenset({5, 6, 7}), "lower_body": frozenset({9, 12}), "dresses": frozenset({6})},
    "atr": {"upper_body": frozenset({4}), "lower_body": frozenset({5, 6}), "dresses": frozenset({7})},
    "gp-vton": {
        "upper_body": frozenset({5, 6, 7, 21, 22, 24, 25, 26, 27}),
        "lower_body": frozenset({9, 10, 13}),
        "dresses": frozenset({6, 24, 25}),
    },
    "acgpn": {"upper_body": frozenset({4}), "lower_body": frozenset({8}), "dresses": frozenset({4})},
}

# The 13 groups into which VITON-HD and HR-VITON merge the 20 ids.
VITONHD_GROUPS: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        "background": frozenset({0, 10}),
        "hair": frozenset({1, 2}),
        "face": frozenset({4, 13}),
        "upper": frozenset({5, 6, 7}),
        "bottom": frozenset({9, 12}),
        "left arm": frozenset({14}),
        "right arm": frozenset({15}),
        "left leg": frozenset({16}),
        "right leg": frozenset({17}),
        "left shoe": frozenset({18}),
        "right shoe": frozenset({19}),
        "socks": frozenset({8}),
        "noise": frozenset({3, 11}),
    }
)


def garment_labels(scheme: Scheme, category: str) -> frozenset[int]:
    """Ids of the garment that a category exchanges; a data set without categories is of upper garments.

    Raises:
        ConfigError: unknown scheme or category.

    Example:
        >>> sorted(garment_labels("atr", "lower_body"))
        [5, 6]
    """
    if scheme not in _GARMENT:
        raise ConfigError(f"label scheme {scheme!r} is unknown; choose one of {', '.join(_GARMENT)}")
    table = _GARMENT[scheme]
    for name, labels in table.items():
        if name == (category or "upper_body"):
            return labels
    raise ConfigError(f"category {category!r} is unknown; choose one of {', '.join(table)}")


def labels_named(scheme: Scheme, *names: str) -> frozenset[int]:
    """Ids by their names, so that no caller writes a number down.

    Example:
        >>> sorted(labels_named("lip", "left arm", "right arm"))
        [14, 15]
    """
    return frozenset(index for index, name in enumerate(NAMES[scheme]) if name in names)
