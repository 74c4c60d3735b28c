"""The person without garment, by the recipes of published data sets and methods; and pictures of poses."""

from __future__ import annotations

from .recipes import RECIPES, Agnostic, Recipe, make
from .skeleton import draw_skeleton, heat_maps

__all__ = ["RECIPES", "Agnostic", "Recipe", "draw_skeleton", "heat_maps", "make"]
