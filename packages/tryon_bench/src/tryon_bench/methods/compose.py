"""Putting a picture together: filling the hole, laying a garment over it, putting back what lies in front."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from .._shared.errors import DataError
from ..poisson import poisson_blend
from ..pyramid import blend_pyramids
from ..sampling import warp_batch
from .interface import Conditions, Image, Mask

Compose = Literal["paste", "feather", "poisson", "poisson_mixed", "pyramid"]
_FEATHER = 0.01  # of the height: over which a feathered garment fades in
_COARSEST = 32  # px of the shorter side at the pyramid's top


def without_garment(person: Image, conditions: Conditions) -> Image:
    """The person with the hole filled by the nearest background, so that nothing of the old garment is left.

    Raises:
        DataError: there is no background outside of what may be repainted.
    """
    source = ~conditions.repaint & ~conditions.keep  # neither hair nor trousers are spread
    if not source.any():
        raise DataError(f"{conditions.pair_id}: everything may be repainted; is the agnostic mask inverted?")
    return np.where(conditions.hole[..., None], _nearest(person, source), person)


def composed(
    person: Image, garment: Image, where: NDArray[np.float64], conditions: Conditions, compose: Compose = "paste"
) -> Image:
    """Sample the garment at a backward map and lay it over the person without her garment, below what is kept.

    | compose | how the warped garment meets its surroundings |
    |---|---|
    | paste | hard edges |
    | feather | fades in over 1 % of the height, inwards |
    | poisson | its gradients only: it takes the light of what is around it, and its colours bleed where that differs |
    | poisson_mixed | the same, and stronger edges of what is below show through |
    | pyramid | Laplacian pyramids (Burt and Adelson 1983): coarse structures fade over a longer way than fine |

    Args:
        person: (H, W, 3).
        garment: (h, w, 3).
        where: (H, W, 2), x and y in 0..1 of the garment's photo.
        conditions: say what may change and what is kept.
        compose: see the table.

    Returns:
        (H, W, 3) uint8; the photo outside of the hole.

    Raises:
        DataError: the garment's mask is empty, or there is no background to fill the hole with.
    """
    own = conditions.garment_mask
    if not own.any():
        raise DataError(f"{conditions.pair_id}: the garment's mask is empty")
    solid = _nearest(garment, own)  # the shop's white must not come in at the edges
    layers = np.concatenate([solid, own[..., None].astype(np.uint8) * 255], axis=2)
    sampled = warp_batch(layers[None], where[None], (255, 255, 255, 0))[0]
    warped, cover = sampled[..., :3], sampled[..., 3] >= 128
    base = without_garment(person, conditions)
    if not (cover & conditions.hole).any():
        return base
    return np.where(conditions.hole[..., None], _blended(warped, base, cover, conditions, compose), person)


def _blended(garment: Image, base: Image, cover: Mask, conditions: Conditions, compose: Compose) -> Image:
    """The blend; `cover` goes on under what is put back, so that the garment neither fades nor takes colour there."""
    if compose == "paste":
        return np.where(cover[..., None], garment, base)
    garment = _nearest(garment, cover)  # beyond its edge it has no colour of its own
    if compose == "feather":
        return _mixed(garment, base, (distance_transform_edt(cover) / (_FEATHER * len(base))).clip(0, 1))
    if compose == "pyramid":
        return blend_pyramids(garment, base, cover, max(1, int(np.log2(min(cover.shape) / _COARSEST))))
    below = np.where((cover & conditions.keep)[..., None], garment, base)
    return poisson_blend(garment, below, cover & conditions.hole, mixed=compose == "poisson_mixed")


def _mixed(front: Image, back: Image, share: NDArray[np.float64]) -> Image:
    return (front * share[..., None] + back * (1 - share[..., None])).round().astype(np.uint8)


def _nearest(image: Image, source: Mask) -> Image:
    """Every pixel in the colour of the nearest one of `source`."""
    rows, columns = distance_transform_edt(~source, return_distances=False, return_indices=True)
    return image[rows, columns]
