"""Rows of a data set as the arrays that the networks take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.sample import Sample
from ..engine.images import decode
from ..methods.conditions import conditions_of
from ..prepare.letterbox import Letterbox
from .config import FrameConfig
from .frames import Pixels, frame_of
from .hints import build_hint, hint_values

_CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
_CACHED = 64  # pairs kept in memory, about 5 MB each at 512 x 384 of 1024 x 768


@dataclass(frozen=True, eq=False)
class PreparedPair:
    """One row at the networks' size, and what is needed to bring a result back.

    Attributes:
        pair_id: name of the row.
        person: (H, W, 3) the photo at its own size.
        repaint: (H, W) True where it may change, at its own size.
        frame: where it lies in the networks' picture.
        image: (h, w, 3) uint8.
        keep: (h, w) True where nothing may change, the padding included.
        ref: (S, S, 3) uint8, the garment on white.
        hint: (h, w, C) uint8.
    """

    pair_id: str
    person: Pixels
    repaint: NDArray[np.bool_]
    frame: Letterbox
    image: Pixels
    keep: NDArray[np.bool_]
    ref: Pixels
    hint: Pixels


def prepare_pair(sample: Sample, config: FrameConfig, ref_px: int) -> PreparedPair:
    """Read a row.

    Args:
        sample: of a data set.
        config: size and hints.
        ref_px: side of the garment's picture for CLIP.

    Raises:
        DataError: a file is damaged or missing, or the data set lacks what a hint needs.
    """
    person, garment = decode(sample.person), decode(sample.garment)
    conditions = conditions_of(sample, person, garment, 0)
    frame = frame_of(person, config.size, squeeze=config.square)
    return PreparedPair(
        sample.pair_id,
        person,
        conditions.repaint,
        frame,
        frame.photo(person, "edge"),
        ~frame.mask(conditions.repaint),
        frame_of(garment, (ref_px, ref_px)).photo(garment, "white"),
        build_hint(config.hints, person, garment, conditions, frame),
    )


class PreparedPairs:
    """Rows by number; the first ones that were asked for stay in memory."""

    def __init__(self, samples: Sequence[Sample], config: FrameConfig, ref_px: int) -> None:
        self.samples, self.config, self.ref_px = samples, config, ref_px
        self._kept: dict[int, PreparedPair] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> PreparedPair:
        if index in self._kept:
            return self._kept[index]
        pair = prepare_pair(self.samples[index], self.config, self.ref_px)
        if len(self._kept) < _CACHED:
            self._kept[index] = pair
        return pair


def to_tensors(pairs: Sequence[PreparedPair], config: FrameConfig) -> dict[str, Tensor]:
    """A batch of rows.

    Returns:
        `image` (B, 3, h, w) in [-1, 1]; `keep` (B, 1, h, w), 1 = keep; `ref` (B, 3, S, S) normalised for CLIP; `hint`
        (B, C, h, w), colours in [-1, 1] and masks in [0, 1].
    """
    return {
        "image": torch.from_numpy(np.stack([_signed(pair.image) for pair in pairs])),
        "keep": torch.from_numpy(np.stack([pair.keep[None].astype(np.float32) for pair in pairs])),
        "ref": torch.from_numpy(np.stack([_normalised(pair.ref) for pair in pairs])),
        "hint": torch.from_numpy(np.stack([hint_values(config.hints, pair.hint) for pair in pairs])),
    }


def _signed(image: Pixels) -> NDArray[np.float32]:
    return np.moveaxis(image, 2, 0).astype(np.float32) / 127.5 - 1


def _normalised(image: Pixels) -> NDArray[np.float32]:
    values = (image.astype(np.float32) / 255 - _CLIP_MEAN) / _CLIP_STD
    return np.ascontiguousarray(np.moveaxis(values.astype(np.float32), 2, 0))
