"""Start the encoder from other weights: official ones, UniFormer's as far as they fit, or those of a timm backbone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ._shared.errors import CheckpointError
from ._shared.foreign import read_foreign_weights, state_dict_of
from ._shared.logs import get_logger
from .encoder import TimmEncoder
from .model import MSLAUNet
from .official import LoadReport, inflate_input_kernels

log = get_logger(__name__)

_PREFIX = "encoder."
_HEADS = ("norm.", "head.", "fc.", "classifier.", "pre_logits.", "conv_mla.", "mlahead.", "seg.", "head_dist.")
_MSLA, _UNIFORMER = "blocks3.0.attn.linear_attention.qkv.weight", "blocks3.0.attn.qkv.weight"


def load_encoder(model: MSLAUNet, source: str | Path | Mapping[str, Any]) -> LoadReport:
    """Copy weights into the encoder of a network; the decoder stays as it is.

    Three kinds are told apart by their names.

    - Of the official code (`best.pth`, or U-Bench's `MSLAUNet.pth`; the whole network or the encoder alone): every
      tensor of the encoder must be there and fit. The weights were trained with the legacy layout; a network of
      another preset takes them as a start, and the log says so.
    - UniFormer (base): the partial warm start. What has the same name and shape is used: both first patch embeddings,
      four blocks of stage 1, stage 2, and of stage 4 positions, norms and feed-forward layers; nothing of stage 3.
    - A timm backbone, for a network with that `encoder`: every tensor but the classifier must fit.

    A first convolution of another number of channels is inflated, see `official.inflate_input_kernels`.

    Args:
        model: the network; changed in place.
        source: file (`.pth`, `.pt`, `.safetensors`) or what is in it.

    Returns:
        Which tensors were used, reshaped, left at initialisation (missing), ignored (heads) or unexpected.

    Raises:
        CheckpointError: unreadable, unsafe, of another network, or too little fits.

    Example:
        >>> weights = MSLAUNet.variant("tiny", num_classes=5, preset="official").state_dict()
        >>> report = load_encoder(MSLAUNet.variant("tiny", num_classes=2, in_channels=1), weights)
        >>> report.what, report.reshaped, report.missing
        ('encoder of the official code', ('patch_embed1.proj.weight',), ())
    """
    name = "state dict" if isinstance(source, Mapping) else Path(source).name
    tensors = (
        state_dict_of(dict(source), name) if isinstance(source, Mapping) else read_foreign_weights(Path(source))
    )
    tensors = {key.removeprefix(_PREFIX): value for key, value in tensors.items()}
    backbone = model.encoder.backbone if isinstance(model.encoder, TimmEncoder) else model.encoder
    what = _kind(model, tensors, name)
    own = backbone.state_dict()
    heads = {key for key in tensors if key.startswith(_HEADS) and key not in own}
    loaded, reshaped = _fitting({key: value for key, value in tensors.items() if key not in heads}, own)
    missing = {key for key in own if key not in loaded}
    unexpected = tensors.keys() - heads - loaded.keys()
    partial = what.startswith("UniFormer")
    if (missing and not partial) or not loaded:
        shapes = sorted(key for key in missing & tensors.keys())
        raise CheckpointError(
            f"{name}: {what}, but {len(missing)} of {len(own)} tensors of the encoder are missing or of another shape "
            f"({', '.join((shapes or sorted(missing))[:3])}); check model.variant, or model.encoder"
        )
    backbone.load_state_dict(own | loaded)
    report = LoadReport(
        name,
        model.config["preset"],
        used=tuple(sorted(loaded.keys() - reshaped)),
        reshaped=tuple(sorted(reshaped)),
        missing=tuple(sorted(missing)),
        ignored=tuple(sorted(heads)),
        unexpected=tuple(sorted(unexpected)),
        what=what,
    )
    (log.warning if missing or unexpected else log.info)("%s", report)
    if what == "encoder of the official code" and model.config["token_layout"] != "legacy":  # noqa: S105
        log.warning("%s was trained with the legacy token layout; here it is a start, not a trained encoder", name)
    return report


def _kind(model: MSLAUNet, tensors: Mapping[str, Tensor], name: str) -> str:
    if isinstance(model.encoder, TimmEncoder):
        return f"timm backbone {model.config['encoder']}"
    if _MSLA in tensors:
        return "encoder of the official code"
    if _UNIFORMER in tensors or "patch_embed1.proj.weight" in tensors:
        return "UniFormer, partial warm start"
    raise CheckpointError(
        f"{name}: neither an encoder of the official code nor UniFormer; its first tensor is {next(iter(tensors))}"
    )


def _fitting(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], set[str]]:
    """Tensors that fit by name and shape, input kernels inflated; and which were."""
    loaded, reshaped = {}, set()
    for key, value in given.items():
        wanted = own.get(key)
        if wanted is None:
            continue
        if value.shape == wanted.shape:
            loaded[key] = value
        elif _is_input_kernel(key, value, wanted, given):
            loaded[key] = inflate_input_kernels(value, wanted.shape[1])
            reshaped.add(key)
    return loaded, reshaped


def _is_input_kernel(key: str, value: Tensor, wanted: Tensor, given: Mapping[str, Tensor]) -> bool:
    """Whether this is the first convolution, for an image of another number of channels."""
    first = next((name for name, tensor in given.items() if tensor.ndim == 4), None)
    is_first = key in (first, "patch_embed1.proj.weight")
    same = value.ndim == 4 and value.shape[:1] + value.shape[2:] == wanted.shape[:1] + wanted.shape[2:]
    return is_first and same
