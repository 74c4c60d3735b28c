"""PNG pictures of films and heat maps, for report pages."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

MIN_SIDE_PX = 224


def film_png(film: NDArray[np.floating]) -> bytes:
    """A grey film (H, W) in [0, 1]."""
    return _png(np.repeat(_enlarge(film)[..., None], 3, axis=2))


def heat_png(
    film: NDArray[np.floating], heat: NDArray[np.floating], box: NDArray[np.bool_] | None = None
) -> bytes:
    """A heat map over its film, coloured from its own minimum to its own maximum.

    Args:
        film: (H, W) in [0, 1].
        heat: (H, W).
        box: (H, W) region whose border is drawn white.
    """
    import matplotlib as mpl

    low, high = float(heat.min()), float(heat.max())
    scaled = (heat - low) / (high - low) if high > low else np.zeros_like(heat)
    colour = mpl.colormaps["inferno"](_enlarge(scaled))[..., :3]
    picture = 0.55 * np.repeat(_enlarge(film)[..., None], 3, axis=2) + 0.45 * colour
    if box is not None:
        region = _enlarge(box.astype(np.float32)) > 0.5
        inner = region.copy()
        for axis in (0, 1):
            for step in (-2, 2):
                inner &= np.roll(region, step, axis)
        picture[region & ~inner] = 1.0
    return _png(picture)


def side_by_side(pictures: list[bytes]) -> bytes:
    """PNGs of one height in a row."""
    from matplotlib.image import imread

    return _png(np.concatenate([imread(io.BytesIO(p))[..., :3] for p in pictures], axis=1))


def _enlarge(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """As many whole repetitions of each pixel as make the picture easy to see."""
    times = max(1, -(-MIN_SIDE_PX // max(image.shape)))
    return image.repeat(times, axis=0).repeat(times, axis=1).astype(np.float64)


def _png(picture: NDArray[np.floating]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.rint(picture.clip(0, 1) * 255).astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()
