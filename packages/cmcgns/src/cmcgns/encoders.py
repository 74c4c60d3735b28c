"""What evaluation needs of a model, whoever trained it; and how a model is opened by its path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from .data.pairs import Pair
from .data.pixels import read_pixels
from .model import CMCGNS, ImageFeatures, TextFeatures
from .transforms import Frame, film_tensor


class Encoder(Protocol):
    """Images and texts in one space. Every foreign checkpoint is brought to this form."""

    name: str
    side_px: int
    device: torch.device
    comparable: bool
    """False for random weights: their numbers are stamped NOT COMPARABLE."""

    def encode_image(self, images: Tensor) -> ImageFeatures:
        """Images (B, 1, S, S) in [-1, 1] on `device`."""
        ...

    def encode_text(self, reports: Sequence[str]) -> TextFeatures:
        """Reports or prompts."""
        ...


class PretrainedEncoder:
    """A model of this package as `Encoder`, gradients off."""

    def __init__(self, model: CMCGNS, name: str = "cmcgns", *, comparable: bool = True) -> None:
        self.model = model.eval()
        self.name, self.comparable = name, comparable
        self.side_px = model.config.image.side_px
        self.device = next(model.parameters()).device

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> ImageFeatures:
        """Images (B, 1, S, S) in [-1, 1]."""
        return self.model.encode_image(images)

    @torch.no_grad()
    def encode_text(self, reports: Sequence[str]) -> TextFeatures:
        """Reports or prompts."""
        return self.model.encode_text(list(reports))


def open_encoder(source: str | Path, *, device: str = "auto") -> Encoder:
    """Open a run or model directory, `hub:owner/name`, or a foreign checkpoint (`foreign:<kind>:<path>`).

    Raises:
        CheckpointError: no weights there, or they are damaged or of another layout.
        ConfigError: no such kind of foreign checkpoint.
    """
    text = str(source)
    if text.startswith("foreign:"):
        from .foreign_models import open_foreign

        kind, _, path = text.removeprefix("foreign:").partition(":")
        return open_foreign(kind, path, device=device)
    from .weights import load

    path = Path(source)
    return PretrainedEncoder(load(path, device=device), path.name)


def pair_tensor(pair: Pair, encoder: Encoder) -> tuple[Tensor, Frame]:
    """A sample's film as (1, S, S), cut at the centre, and where it lies in the film."""
    return film_tensor(read_pixels(pair.image), side_px=encoder.side_px, channels=1)
