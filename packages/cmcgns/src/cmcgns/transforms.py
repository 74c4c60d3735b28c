"""Film -> tensor: letter box, crop, normalisation; boxes and masks follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """Where a square tensor lies in its film, so that boxes and heat maps find each other.

    A film of `height` x `width` is scaled so that its long side is `scaled_px`, padded with black to a square and cut
    to `side_px` at (`top`, `left`).
    """

    height: int
    width: int
    scaled_px: int
    side_px: int
    top: int
    left: int

    def _geometry(self) -> tuple[float, float, float, float]:
        """(scaled height, scaled width, y offset, x offset) of the film in the tensor, pixels."""
        height, width = _scaled_size(self.height, self.width, self.scaled_px)
        return height, width, (self.scaled_px - height) // 2 - self.top, (self.scaled_px - width) // 2 - self.left

    def to_tensor(self, box: Box) -> Box:
        """A box in fractions of the film -> fractions of the tensor, clipped to it (empty if outside)."""
        height, width, dy, dx = self._geometry()
        corners = (box[0] * width + dx, box[1] * height + dy, box[2] * width + dx, box[3] * height + dy)
        x0, y0, x1, y1 = (min(max(corner / self.side_px, 0.0), 1.0) for corner in corners)
        return x0, y0, x1, y1

    def to_film(self, box: Box) -> Box:
        """Inverse of `to_tensor` for boxes inside the tensor, clipped to the film."""
        height, width, dy, dx = self._geometry()
        size = self.side_px
        x0, x1 = ((x * size - dx) / width for x in (box[0], box[2]))
        y0, y1 = ((y * size - dy) / height for y in (box[1], box[3]))
        return max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0)


def film_tensor(
    film: NDArray[np.float32],
    *,
    side_px: int = 224,
    channels: int = 3,
    rng: np.random.Generator | None = None,
) -> tuple[Tensor, Frame]:
    """Scale the long side to 8/7 of `side_px`, pad to a square with black, cut `side_px`, normalise to [-1, 1].

    The recipe of the official code (256 and 224): area interpolation, random crop in training, centre crop otherwise,
    mean and deviation 0.5; no flip and no colour jitter, because sides and grey values carry meaning in a film.

    Args:
        film: (H, W) in [0, 1].
        side_px: side S of the tensor.
        channels: 3 equal channels, or 1.
        rng: source of the crop's place; None for the centre.

    Returns:
        (channels, S, S) float32 in [-1, 1], and where it lies in the film.

    Example:
        >>> tensor, frame = film_tensor(np.ones((64, 32), np.float32), side_px=28)
        >>> tuple(tensor.shape), tuple(round(v, 3) for v in frame.to_film(frame.to_tensor((0.25, 0.25, 0.5, 0.75))))
        ((3, 28, 28), (0.25, 0.25, 0.5, 0.75))
    """
    frame = place_frame(film.shape[0], film.shape[1], side_px=side_px, rng=rng)
    image = _cut(torch.from_numpy(np.ascontiguousarray(film)), frame, "area")
    return (image * 2 - 1).expand(channels, -1, -1).clone(), frame


def mask_tensor(mask: NDArray[np.uint8], frame: Frame) -> Tensor:
    """A binary mask (H, W) of any size over the same film -> (S, S) float32 of 0 and 1 in the tensor's frame."""
    place = Frame(mask.shape[0], mask.shape[1], frame.scaled_px, frame.side_px, frame.top, frame.left)
    if mask.shape[0] * frame.width != mask.shape[1] * frame.height:  # a square grid over a film that is not square
        height, width = _scaled_size(frame.height, frame.width, max(mask.shape))
        resized = interpolate(torch.from_numpy(mask)[None, None].float(), (height, width), mode="nearest-exact")
        mask = resized[0, 0].numpy().astype(np.uint8)
        place = Frame(height, width, frame.scaled_px, frame.side_px, frame.top, frame.left)
    return _cut(torch.from_numpy(np.ascontiguousarray(mask)).float(), place, "nearest-exact")[0]


def place_frame(height: int, width: int, *, side_px: int, rng: np.random.Generator | None = None) -> Frame:
    """Draw (or centre) the crop of a film."""
    scaled_px = round(side_px * 8 / 7)
    slack = scaled_px - side_px
    top, left = (slack // 2, slack // 2) if rng is None else (int(v) for v in rng.integers(0, slack + 1, 2))
    return Frame(height, width, scaled_px, side_px, top, left)


def boxes_in_frame(boxes: Sequence[Box], frame: Frame) -> list[Box]:
    """Boxes in fractions of the tensor; those that the crop cut away are left out."""
    moved = [frame.to_tensor(box) for box in boxes]
    return [box for box in moved if box[2] > box[0] and box[3] > box[1]]


def _scaled_size(height: int, width: int, scaled_px: int) -> tuple[int, int]:
    long = max(height, width)
    return max(1, round(height * scaled_px / long)), max(1, round(width * scaled_px / long))


def _cut(image: Tensor, frame: Frame, mode: str) -> Tensor:
    """(H, W) -> (1, S, S)."""
    height, width = _scaled_size(frame.height, frame.width, frame.scaled_px)
    scaled = interpolate(image[None, None], (height, width), mode=mode)[0]
    square = torch.zeros(1, frame.scaled_px, frame.scaled_px)
    top, left = (frame.scaled_px - height) // 2, (frame.scaled_px - width) // 2
    square[:, top : top + height, left : left + width] = scaled
    return square[:, frame.top : frame.top + frame.side_px, frame.left : frame.left + frame.side_px]
