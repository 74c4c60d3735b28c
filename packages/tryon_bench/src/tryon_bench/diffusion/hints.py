"""What the ControlNet is shown, beside the latents: pictures of the garment and of the pose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .._shared.io.images import read_image
from ..agnostic.skeleton import draw_skeleton
from ..data.densepose import part_colours, read_parts
from ..methods.contour import contour_spline, spline_map
from ..methods.interface import Conditions
from ..prepare.letterbox import Letterbox
from ..tps import cut_out
from .config import HintName
from .frames import Pixels, Squeezed, frame_of

CHANNELS: dict[HintName, int] = {"garment": 3, "densepose": 3, "pose": 3, "warped": 4, "agnostic": 3}
_GRAY = 128


def hint_channels(names: tuple[HintName, ...]) -> int:
    """Channels of a hint.

    Example:
        >>> hint_channels(("garment", "densepose"))
        6
    """
    return sum(CHANNELS[name] for name in names)


def build_hint(
    names: tuple[HintName, ...], person: Pixels, garment: Pixels, conditions: Conditions, frame: Letterbox
) -> Pixels:
    """The channels of a hint, one picture behind the other, in the frame.

    | name | channels |
    |---|---|
    | garment | 3: the shop photo; it is not aligned with the person |
    | densepose | 3: the data set's rendering, or its part indices in the same colours |
    | pose | 3: OpenPose's skeleton |
    | warped | 4: the garment bent onto its target by `tps_contour`, and where it lies |
    | agnostic | 3: the person with gray where she is repainted |

    Args:
        names: which, in this order.
        person: (H, W, 3).
        garment: (h, w, 3).
        conditions: of the pair.
        frame: of the person.

    Returns:
        (height, width, C) uint8 of the frame.

    Raises:
        DataError: the data set lacks what a hint needs.
    """
    return np.concatenate([_MAKERS[name](person, garment, conditions, frame) for name in names], axis=2)


def hint_values(names: tuple[HintName, ...], hint: Pixels) -> NDArray[np.float32]:
    """Colours as [-1, 1], masks as [0, 1]; (C, height, width), so that zeros are gray and "nowhere"."""
    values = np.moveaxis(hint, 2, 0).astype(np.float32)
    masks = np.concatenate([np.arange(CHANNELS[name]) == 3 for name in names])
    scaled: NDArray[np.float32] = np.where(masks[:, None, None], values / 255, values / 127.5 - 1)
    return scaled.astype(np.float32)


def _garment(person: Pixels, garment: Pixels, conditions: Conditions, frame: Letterbox) -> Pixels:
    squeeze = isinstance(frame, Squeezed)
    return frame_of(garment, frame.target, squeeze=squeeze).photo(garment, "white")


def _densepose(person: Pixels, garment: Pixels, conditions: Conditions, frame: Letterbox) -> Pixels:
    path = conditions.files.get("densepose")
    if path is None:
        raise DataError(
            f"{conditions.pair_id}: no DensePose picture; add the data set's, or choose other frame.hints (pose, "
            "warped, agnostic)"
        )
    array = read_image(path).array
    picture = part_colours(read_parts(path)) if array.ndim == 2 else array
    if picture.shape[:2] != person.shape[:2]:
        raise DataError(
            f"{path.name}: {picture.shape[1]} x {picture.shape[0]} px, the photo has {person.shape[1]} x "
            f"{person.shape[0]}; they must lie on each other"
        )
    return frame.labels(picture)


def _pose(person: Pixels, garment: Pixels, conditions: Conditions, frame: Letterbox) -> Pixels:
    if conditions.keypoints is None:
        raise DataError(f"{conditions.pair_id}: no keypoints; add the data set's, or choose other frame.hints")
    return draw_skeleton(frame.points(conditions.keypoints), frame.target)


def _warped(person: Pixels, garment: Pixels, conditions: Conditions, frame: Letterbox) -> Pixels:
    where = spline_map(contour_spline(conditions), (person.shape[0], person.shape[1]))
    warped, cover = cut_out(garment, conditions.garment_mask, where)
    cover &= conditions.hole
    colours = frame.photo(np.where(cover[..., None], warped, np.uint8(_GRAY)), "edge")
    return np.concatenate([colours, frame.mask(cover)[..., None].astype(np.uint8) * 255], axis=2)


def _agnostic(person: Pixels, garment: Pixels, conditions: Conditions, frame: Letterbox) -> Pixels:
    return frame.photo(np.where(conditions.repaint[..., None], np.uint8(_GRAY), person), "edge")


_MAKERS: dict[HintName, Callable[[Pixels, Pixels, Conditions, Letterbox], Pixels]] = {
    "garment": _garment,
    "densepose": _densepose,
    "pose": _pose,
    "warped": _warped,
    "agnostic": _agnostic,
}
