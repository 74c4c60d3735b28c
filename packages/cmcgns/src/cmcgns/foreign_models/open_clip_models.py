"""BiomedCLIP and other models of open_clip, by folder or hub name.

The loader is open_clip's own (github.com/mlfoundations/open_clip, `create_model_from_pretrained` and `get_tokenizer`;
a folder is given as `local-dir:`); patch vectors are read for towers whose trunk is a ViT of timm, as BiomedCLIP's is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .._shared.errors import CheckpointError
from ..model import ImageFeatures, TextFeatures
from ..ragged import Ragged
from ..sentences import split_sentences


class OpenCLIPEncoder:
    """Films and reports in an open_clip model's space; each sentence of a report is encoded on its own as well."""

    comparable = True

    def __init__(self, model: Any, tokenizer: Any, name: str, device: torch.device) -> None:
        self.model, self.tokenizer = model.eval().to(device), tokenizer
        self.name, self.device = name, device
        side = model.visual.image_size
        self.side_px = int(side[0] if isinstance(side, tuple | list) else side)
        stored = (model.visual.image_mean, model.visual.image_std)
        self.mean, self.deviation = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in stored)

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> ImageFeatures:
        """Films (B, 1, S, S) in [-1, 1], brought to the model's own normalisation."""
        given = ((images.expand(-1, 3, -1, -1) + 1) / 2 - self.mean) / self.deviation
        pooled = self.model.encode_image(given, normalize=True)
        visual = self.model.visual
        if not hasattr(visual, "trunk") or not hasattr(visual.trunk, "num_prefix_tokens"):
            raise CheckpointError(
                f"{self.name}: its image tower is no ViT of timm, so it has no patch vectors here"
            )
        tokens = visual.trunk.forward_features(given)[:, visual.trunk.num_prefix_tokens :]
        side = round(tokens.shape[1] ** 0.5)
        return ImageFeatures(pooled, F.normalize(visual.head(tokens), dim=-1), (side, side))

    @torch.no_grad()
    def encode_text(self, reports: Sequence[str]) -> TextFeatures:
        """Reports."""
        sentences = [split_sentences(report) or [report] for report in reports]
        rows = self._encode([s for group in sentences for s in group])
        counts = torch.tensor([len(group) for group in sentences], device=self.device)
        return TextFeatures(self._encode(list(reports)), Ragged(rows, counts))

    def _encode(self, texts: list[str]) -> Tensor:
        return self.model.encode_text(self.tokenizer(texts).to(self.device), normalize=True)


def load_open_clip(source: str, device: torch.device) -> OpenCLIPEncoder:
    """Open a folder with `open_clip_config.json` and weights, or a hub name.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    import open_clip

    folder = Path(source)
    name = f"local-dir:{folder}" if folder.is_dir() else f"hf-hub:{source.removeprefix('hf-hub:')}"
    if folder.is_dir() and not (folder / "open_clip_config.json").is_file():
        raise CheckpointError(f"{folder.name}: no open_clip_config.json; expected a folder as the hub has it")
    try:
        model, _ = open_clip.create_model_from_pretrained(name, return_transform=True)
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as err:  # open_clip and the hub raise nearly anything
        raise CheckpointError(
            f"open-clip model {folder.name!r} cannot be loaded ({type(err).__name__}); give a folder, or fetch it on a "
            "machine with network"
        ) from err
    return OpenCLIPEncoder(model, tokenizer, folder.name, device)
