"""Both towers and the grounding map as ONNX, each checked against the model that it came from."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._shared.errors import ConfigError, NumericsError
from ._shared.files import atomic_path, atomic_write, require_writable_dir
from ._shared.strict_json import to_json
from .model import CMCGNS
from .ragged import Ragged
from .tokens import Tokens

TOLERANCE = 1e-4
OPSET = 18


class ImageExport(nn.Module):
    """Images (B, 1 or 3, S, S) -> pooled (B, D), patches (B, P, D)."""

    def __init__(self, model: CMCGNS) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode."""
        features = self.model.encode_image(images)
        return features.pooled, features.patches


class TextExport(nn.Module):
    """Tokens (B, L) -> pooled (B, D), sentences (B, M, D) with zeros behind the last one.

    The ragged sums of the model are written as one product with the indicator of each sentence, so that the graph has
    no sizes that depend on values. Sentences beyond `max_sentences` are not encoded.
    """

    numbers: Tensor

    def __init__(self, model: CMCGNS, max_sentences: int) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("numbers", torch.arange(max_sentences)[None, :, None])

    def forward(self, input_ids: Tensor, attention_mask: Tensor, sentence_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Encode."""
        model = self.model
        hidden = model.text_local(model.text(Tokens(input_ids, attention_mask, sentence_ids)))
        tokens = F.normalize(hidden, dim=-1)
        member = torch.eq(sentence_ids[:, None, :], self.numbers).to(tokens.dtype)  # (B, M, L)
        count = member.sum(-1, keepdim=True)
        real = (count > 0).to(tokens.dtype)
        rows = F.normalize(member @ tokens / count.clamp_min(1), dim=-1) * real
        mean = F.normalize(rows.sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp_min(1), dim=-1)
        memory = torch.cat([mean, rows], 1)
        hidden_rows = torch.cat([torch.zeros_like(real[:, :1, 0]), 1 - real[..., 0]], 1) > 0.5
        pooled = model.pooling.attention(mean, memory, memory, key_padding_mask=hidden_rows, need_weights=False)[0]
        return F.normalize(model.text_global(pooled[:, 0]), dim=-1), rows


class GroundingExport(nn.Module):
    """Image (1, 1 or 3, S, S) and sentence vectors (N, D) -> cosine maps (N, rows, columns)."""

    def __init__(self, model: CMCGNS) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, sentences: Tensor) -> Tensor:
        """Ground."""
        features = self.model.encode_image(image)
        return (sentences @ features.patches[0].T).reshape(-1, *features.grid)


def export(model: CMCGNS, out: Path, *, max_sentences: int = 32, channels: int = 1) -> dict[str, Any]:
    """Write `image.onnx`, `text.onnx`, `grounding.onnx`, `config.json` and the largest deviations from PyTorch.

    Batch size, text length and number of sentences are free. ONNX Runtime is run on inputs of another size than the
    ones that were traced, and compared.

    Args:
        model: what to export.
        out: folder.
        max_sentences: largest number of sentences of a report.
        channels: of the images, 1 or 3.

    Returns:
        File to largest absolute deviation, the tolerance, and what is needed for the inputs.

    Raises:
        ConfigError: another number of channels.
        NumericsError: an export deviates by more than the tolerance; its file is not kept.
        ResourceError: the folder cannot be written.
    """
    if channels not in (1, 3):
        raise ConfigError(f"channels: expected 1 or 3, got {channels}")
    require_writable_dir(out)
    model = model.cpu().eval()
    side = model.config.image.side_px
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, channels, side, side, generator=generator) * 2 - 1
    texts = ["No effusion. The heart is enlarged.", "Clear lungs.", "Edema. No fracture. Stable 2.5 cm nodule."]
    tokens = model.tokenize(texts)
    with torch.no_grad():
        vectors = model.encode_text(texts).sentences.values
        expected_text = model.encode_text(texts)
    batch, length = torch.export.Dim("batch", min=1, max=4096), torch.export.Dim("length", min=3, max=4096)
    count = torch.export.Dim("sentences", min=1, max=4096)
    jobs: list[tuple[str, nn.Module, tuple[Tensor, ...], Any, tuple[str, ...], tuple[str, ...]]] = [
        ("image", ImageExport(model), (images[:2],), ({0: batch},), ("images",), ("pooled", "patches")),
        (
            "text",
            TextExport(model, max_sentences),
            tuple(part[:2] for part in tokens),
            ({0: batch, 1: length},) * 3,
            ("input_ids", "attention_mask", "sentence_ids"),
            ("pooled", "sentences"),
        ),
        (
            "grounding",
            GroundingExport(model),
            (images[:1], vectors),
            (None, {0: count}),
            ("image", "vectors"),
            ("maps",),
        ),
    ]
    deviations = {}
    checks: dict[str, tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = {
        "image": ((images,), _image_reference(model, images)),
        "text": (tuple(tokens), (expected_text.pooled, _padded(expected_text.sentences, max_sentences))),
        "grounding": ((images[2:], vectors[:3]), (_maps(model, images[2:], vectors[:3]),)),
    }
    for name, module, inputs, shapes, input_names, output_names in jobs:
        path = out / f"{name}.onnx"
        with atomic_path(path) as temporary:
            _write(module, inputs, temporary, shapes, input_names, output_names)
            given, expected = checks[name]
            far = _deviation(temporary, dict(zip(input_names, given, strict=True)), expected)
            if not far <= TOLERANCE:
                raise NumericsError(
                    f"{path.name}: differs from PyTorch by {far:.2g}, more than {TOLERANCE:g}; not kept"
                )
            deviations[path.name] = far
    summary = {
        "deviations": deviations,
        "tolerance": TOLERANCE,
        "max_sentences": max_sentences,
        "channels": channels,
    }
    versions = {"torch": torch.__version__, "onnxscript": _exporter_version(), "opset": OPSET}
    atomic_write(out / "config.json", to_json({**summary, "exporter": versions, **model.to_json()}, indent=1))
    return summary


def _write(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    shapes: Any,
    names: tuple[str, ...],
    outputs: tuple[str, ...],
) -> None:
    logging.disable(logging.WARNING)  # the exporter talks about its internals
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                inputs,
                str(path),
                input_names=names,
                output_names=outputs,
                dynamic_shapes=shapes,
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        logging.disable(logging.NOTSET)


def _deviation(path: Path, inputs: dict[str, Tensor], expected: tuple[Tensor, ...]) -> float:
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(path))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return max(float(np.abs(a - b.numpy()).max()) for a, b in zip(found, expected, strict=True))


def _exporter_version() -> str:
    import onnxscript  # what torch.onnx builds the graph with

    return str(onnxscript.__version__)


@torch.no_grad()
def _image_reference(model: CMCGNS, images: Tensor) -> tuple[Tensor, Tensor]:
    features = model.encode_image(images)
    return features.pooled, features.patches


@torch.no_grad()
def _maps(model: CMCGNS, image: Tensor, vectors: Tensor) -> Tensor:
    features = model.encode_image(image)
    return (vectors @ features.patches[0].T).reshape(-1, *features.grid)


def _padded(sentences: Ragged, size: int) -> Tensor:
    rows, _ = sentences.padded()
    return F.pad(rows, (0, 0, 0, size - rows.shape[1]))
