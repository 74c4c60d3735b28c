"""The model that is pretrained and used: two towers, their heads, and attention between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from ._shared.config import flatten
from ._shared.errors import CheckpointError, DataError
from ._shared.hub import PretrainedModel
from .config import ModelConfig
from .layers import CrossModalAttention, ReportPooling, Temperature, projection, sentence_means
from .ragged import Ragged
from .tokens import Tokens, tokenize
from .towers import Grid, ImageTower, TextTower


class ImageFeatures(NamedTuple):
    """Images in the common space.

    Attributes:
        pooled: (B, D) unit vectors, one per image.
        patches: (B, P, D) unit vectors; patch p is the cell (p // columns, p % columns) of the grid.
        grid: rows and columns, P = rows x columns.
    """

    pooled: Tensor
    patches: Tensor
    grid: Grid


class TextFeatures(NamedTuple):
    """Reports in the common space.

    Attributes:
        pooled: (B, D) unit vectors, one per report.
        sentences: (N, D) unit vectors of all sentences, and how many each report has.
    """

    pooled: Tensor
    sentences: Ragged


class CMCGNS(  # type: ignore[call-arg]  # the mixin takes these; mypy sees it as object
    PretrainedModel, nn.Module, library_name="cmcgns", tags=["chest-x-ray", "zero-shot-image-classification"]
):
    """Image and report encoder of CM-CGNS (arXiv 2506.11674), for pretraining and for use.

    Both towers end in a linear map to D dimensions and unit length, for the whole (`pooled`) and for the parts
    (patches, sentences). `cross` is the attention inside a pair; the two temperatures belong to the contrasts of
    wholes and of sentences. The comparison methods train the same class with other losses.

    Args:
        config: towers, width, attention.
        text: a stored text tower (`TextTower.to_json`), to rebuild a saved model without hub and files.

    Raises:
        ConfigError: no such backbone.
        DataError: weights of a tower are not on this machine.

    Example:
        >>> model = CMCGNS.tiny(side_px=32).eval()
        >>> images = torch.zeros(2, 1, 32, 32)
        >>> model.encode_image(images).patches.shape, model.encode_image(images).grid
        (torch.Size([2, 16, 64]), (4, 4))
        >>> model.encode_text(["No effusion. Heart normal.", "Clear lungs."]).sentences.counts.tolist()
        [2, 1]
    """

    def __init__(self, config: ModelConfig, text: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.config = config
        self.image = ImageTower(config.image, load=text is None)
        self.text = TextTower(config.text, text)
        self.image_global = projection(self.image.width, config.dim)
        self.image_local = projection(self.image.patch_width, config.dim)
        self.text_global, self.text_local = (
            projection(config.dim, config.dim),
            projection(self.text.width, config.dim),
        )
        self.pooling = ReportPooling(config.dim)
        self.cross = CrossModalAttention(config.dim, config.attention)
        self.global_temperature, self.local_temperature = (Temperature(config.temperature) for _ in range(2))

    @classmethod
    def tiny(cls, *, side_px: int = 64, dim: int = 64, image: str = "tiny-vit", **text: Any) -> CMCGNS:
        """A model of about a million parameters for CPUs and tests, random weights.

        Args:
            side_px: side of the input.
            dim: width D.
            image: tiny-vit, tiny-resnet or tiny-convmixer.
            text: fields of `TextConfig` beside the tiny backbone.
        """
        config = {
            "image": {"backbone": image, "side_px": side_px},
            "text": {"backbone": "tiny", **text},
            "dim": dim,
        }
        return cls(ModelConfig.model_validate(config))

    def forward(self, images: Tensor, tokens: Tokens) -> tuple[ImageFeatures, TextFeatures]:
        """Both towers, for training: images (B, 1 or 3, S, S) in [-1, 1] and as many reports."""
        return self.encode_image(images), self.encode_text(tokens)

    def encode_image(self, images: Tensor) -> ImageFeatures:
        """Encode images (B, 1 or 3, S, S) float in [-1, 1] (`transforms.film_tensor`); S is `config.image.side_px`.

        Raises:
            DataError: another shape.
        """
        side = self.config.image.side_px
        if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape[-2:] != (side, side):
            raise DataError(
                f"images: expected shape (B, 1 or 3, {side}, {side}), got {tuple(images.shape)}; use film_tensor"
            )
        whole, patches, grid = self.image(images)
        return ImageFeatures(
            F.normalize(self.image_global(whole), dim=-1), F.normalize(self.image_local(patches), dim=-1), grid
        )

    def encode_text(self, reports: Sequence[str] | Tokens) -> TextFeatures:
        """Encode B reports, given as texts or as the tokens of `tokenize`.

        A sentence is the mean of its projected token vectors, brought to unit length; a report is pooled from its
        sentences.

        Raises:
            DataError: a report without a sentence.
        """
        tokens = reports if isinstance(reports, Tokens) else self.tokenize(reports)
        hidden = self.text_local(self.text(tokens))
        sentences = sentence_means(F.normalize(hidden, dim=-1), tokens.sentence_ids)
        sentences = sentences._replace(values=F.normalize(sentences.values, dim=-1))
        return TextFeatures(F.normalize(self.text_global(self.pooling(sentences)), dim=-1), sentences)

    def tokenize(self, reports: Sequence[str]) -> Tokens:
        """Texts -> tokens on the model's device.

        Raises:
            DataError: a report without a sentence.
        """
        settings = self.config.text
        tokens = tokenize(reports, self.text.pieces, max_tokens=settings.max_tokens, splitter=settings.splitter)
        device = self.text_local.weight.device
        return Tokens(*(part.to(device) for part in tokens))

    @torch.no_grad()
    def sentence_maps(self, image: Tensor, report: str) -> Tensor:
        """Cosine of every sentence with every patch of one image (1, 1 or 3, S, S): (S_i, rows, columns) in [-1, 1]."""
        patches, grid = self.encode_image(image)[1:]
        sentences = self.encode_text([report]).sentences.values
        return (sentences @ patches[0].T).reshape(-1, *grid)

    def to_json(self) -> dict[str, Any]:
        """What rebuilds the model without hub and files; goes beside the weights."""
        kept = self.config.model_dump(mode="json")
        kept["text"]["backbone"] = kept["text"]["backbone"].replace("\\", "/").rpartition("/")[2]  # no folders
        return {"package": "cmcgns", "format": 1, "model": kept, "text": self.text.to_json()}

    @classmethod
    def from_json(cls, stored: dict[str, Any], source: str = "config.json") -> Self:
        """The model of what `to_json` gave, its weights still random.

        Args:
            stored: the configuration.
            source: what a message calls its folder.

        Raises:
            CheckpointError: it is no configuration of this package, or damaged.
        """
        if stored.get("package") != "cmcgns" or "model" not in stored or "text" not in stored:
            raise CheckpointError(f"{source}: not a cmcgns model; give a run directory or a model directory")
        try:
            return cls(ModelConfig.model_validate(stored["model"]), stored["text"])
        except (ValidationError, KeyError, TypeError) as err:
            raise CheckpointError(
                f"{source}/config.json: damaged ({type(err).__name__}); save the model again"
            ) from err

    def hub_config(self) -> dict[str, Any]:
        """What `save_pretrained` writes as `config.json`, as `cmcgns.save` does."""
        return self.to_json()

    @classmethod
    def from_hub_config(cls, config: dict[str, Any]) -> Self:
        """What `from_pretrained` builds."""
        return cls.from_json(config)

    def card_settings(self) -> dict[str, Any]:
        """Towers, width and attention; not the tokenizer."""
        return dict(flatten(self.to_json()["model"]))
