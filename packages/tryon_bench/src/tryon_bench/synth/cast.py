"""The cast of a synthetic data set: who stands in which pose, in which garment; every part from the seed and index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..tps import ThinPlateSpline
from .figures import POSES, Figure, draw_figure
from .garments import TEXTURES, Garment, draw_garment
from .scenes import Scene, draw_background, draw_warp, render


@dataclass(frozen=True, eq=False)
class Actor:
    """One person and the garment she wears.

    Attributes:
        number: from 1.
        figure: the person.
        garment: what she wears.
        warp: pixel of the photo -> garment, coordinates 0..1.
        background: (H, W, 3).
        category: of the garment.
    """

    number: int
    figure: Figure
    garment: Garment
    warp: ThinPlateSpline
    background: NDArray[np.float64]
    category: str

    def photo(self, garment: Garment | None = None) -> Scene:
        """The person in her garment, or in another one: the true answer of the try-on task."""
        return render(self.figure, garment or self.garment, self.warp, self.background, self.category)


def draw_actor(number: int, size: tuple[int, int], seed: int, category: str = "upper_body") -> Actor:
    """An actor; the same number, size, seed and category give the same one, whoever else is in the cast."""
    rng = np.random.default_rng([seed, number])
    figure = draw_figure(size, POSES[number % len(POSES)], rng)
    garment = draw_garment(size, TEXTURES[number % len(TEXTURES)], rng, category)
    return Actor(number, figure, garment, draw_warp(figure, category, rng), draw_background(size, rng), category)
