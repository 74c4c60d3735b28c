"""The generated picture and the photo put together."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..poisson import poisson_blend
from .frames import Pixels

ComposeMode = Literal["none", "paste", "feather", "poisson"]
_FEATHER = 1 / 50  # of the height: radius over which CatVTON's repainting fades


def compose(generated: Pixels, photo: Pixels, repaint: NDArray[np.bool_], mode: ComposeMode) -> Pixels:
    """Take the generated picture where the photo is repainted.

    | mode | outside of the mask | at its edge |
    |---|---|---|
    | none | the generated picture, which the VAE has softened | |
    | paste | the photo | hard |
    | feather | the photo, but for a strip | both fade over 1/50 of the height |
    | poisson | the photo | the generated picture's gradients, with the photo's light |

    Args:
        generated: (H, W, 3) uint8.
        photo: (H, W, 3) uint8.
        repaint: (H, W) True inside.
        mode: see the table.
    """
    if mode == "none" or repaint.all():
        return generated
    if mode == "paste":
        return np.where(repaint[..., None], generated, photo)
    if mode == "poisson":
        return poisson_blend(generated, photo, repaint)
    share = gaussian_filter(repaint.astype(np.float64), max(1.0, _FEATHER * len(photo)) / 2)[..., None]
    mixed: Pixels = (generated * share + photo * (1 - share)).round().astype(np.uint8)
    return mixed
