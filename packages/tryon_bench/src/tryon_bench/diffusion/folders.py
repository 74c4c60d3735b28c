"""Paint-by-Example and ControlNet in diffusers' folder layout: read from disk or hub, written as others read them.

Read by hand, part by part: diffusers refuses to load Paint-by-Example as a pipeline, because its image encoder is a
class of a pipeline that is deprecated ("not one of the libraries Diffusers can load components from").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig

from .._shared.checkpoints import load_strict
from .._shared.errors import CheckpointError
from .._shared.foreign import read_foreign_weights
from .components import UNET_CHANNELS, Components
from .exemplar import ExemplarEncoder, from_published, to_published

_DIFFUSERS, _TRANSFORMERS = "diffusion_pytorch_model", "model"
_PARTS = ("unet", "vae", "image_encoder", "scheduler")
# attention of VAEs saved before diffusers 0.12
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def find_base(name: str) -> Path:
    """The folder of a base, fetched from the hub where `name` is `owner/name` and no folder.

    Raises:
        CheckpointError: there is no such folder or repository, or no connection.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    owner, slash, rest = name.partition("/")
    if not (owner and slash and rest) or "/" in rest or name.startswith((".", "/", "~")):
        raise CheckpointError(
            f"base {folder.name!r}: no such folder; give a folder with {', '.join(_PARTS)}, or owner/name on the hub"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = [f"{part}/*.{end}" for part in _PARTS for end in ("json", "safetensors", "bin")]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as err:
        raise CheckpointError(
            f"base {name}: cannot be fetched from the hub ({type(err).__name__}); check the name and the connection, "
            "or give a folder"
        ) from err


def load_base(folder: Path) -> Components:
    """Paint-by-Example from a folder with `unet`, `vae`, `image_encoder` and `scheduler`.

    Raises:
        CheckpointError: a part is missing, damaged or of another model; the message names the file.
    """
    unet = _load(UNet2DConditionModel, folder / "unet")
    if unet.config.in_channels != UNET_CHANNELS:
        raise CheckpointError(
            f"{folder.name}/unet: {unet.config.in_channels} input channels, expected {UNET_CHANNELS} (noisy latents 4, "
            "masked photo 4, mask 1); give Paint-by-Example, not a text-to-image model"
        )
    noise = _read_json(folder / "scheduler" / "scheduler_config.json")
    if noise.get("prediction_type", "epsilon") not in ("epsilon", "v_prediction"):
        raise CheckpointError(
            f"{folder.name}/scheduler: prediction_type {noise['prediction_type']!r}; expected epsilon or v_prediction"
        )
    return Components(
        _load(AutoencoderKL, folder / "vae"), unet, load_encoder(folder / "image_encoder"), _public(noise)
    )


def load_encoder(folder: Path) -> ExemplarEncoder:
    """The exemplar encoder of a folder.

    Raises:
        CheckpointError: missing, damaged, or something else.
    """
    config = _read_json(folder / "config.json")
    if "hidden_size" not in config or "patch_size" not in config:
        raise CheckpointError(f"{_named(folder)}/config.json: no settings of a CLIP vision model")
    vision = CLIPVisionConfig(
        **{name: config[name] for name in CLIPVisionConfig().to_dict() if name in config and name in _VISION}
    )
    encoder = ExemplarEncoder(vision, int(config.get("projection_dim", 768)))
    tensors = from_published(_weights(folder, _TRANSFORMERS), encoder.state_dict().keys())
    load_strict(encoder, tensors, _named(folder))
    return encoder


def load_controlnet(folder: Path) -> ControlNetModel:
    """A ControlNet in diffusers' layout.

    Raises:
        CheckpointError: missing, damaged, or something else.
    """
    return _load(ControlNetModel, folder)


def save_base(components: Components, folder: Path) -> None:
    """Write the layout that `load_base` reads; the files are those of the published model."""
    components.vae.save_pretrained(folder / "vae")
    components.unet.save_pretrained(folder / "unet")
    save_encoder(components.encoder, folder / "image_encoder")
    _write_json(
        folder / "scheduler" / "scheduler_config.json", {"_class_name": "PNDMScheduler", **components.noise}
    )
    side = components.ref_px
    _write_json(
        folder / "feature_extractor" / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": side},
            "crop_size": {"height": side, "width": side},
        },
    )


def save_encoder(encoder: ExemplarEncoder, folder: Path) -> None:
    """Write the exemplar encoder under the published names."""
    settings = {name: value for name, value in encoder.config.to_dict().items() if name in _VISION}
    _write_json(
        folder / "config.json",
        {
            "architectures": ["PaintByExampleImageEncoder"],
            "model_type": "clip_vision_model",
            **settings,
            "projection_dim": encoder.context_dim,
        },
    )
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in to_published(encoder.state_dict()).items()
    }
    save_file(tensors, folder / f"{_TRANSFORMERS}.safetensors", metadata={"format": "pt"})


_VISION = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "image_size",
    "patch_size",
    "hidden_act",
    "layer_norm_eps",
    "num_channels",
)


def _load(kind: Any, folder: Path) -> Any:
    """A model of diffusers, every weight of which is in the file."""
    config = _read_json(folder / "config.json")
    stored = config.get("_class_name")
    if stored != kind.__name__:
        raise CheckpointError(f"{_named(folder)}/config.json: of a {stored}, expected a {kind.__name__}")
    model = kind.from_config(config)
    load_strict(model, _renamed(_weights(folder, _DIFFUSERS), model), _named(folder))
    return model


def _renamed(tensors: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Names and shapes of old files (attention of the VAE, once 1 x 1 convolutions) as today's model has them."""
    own = model.state_dict()
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, leaf = name.rpartition(".")
        head, _, last = layer.rpartition(".")
        new = f"{head}.{_OLD_ATTENTION[last]}.{leaf}" if last in _OLD_ATTENTION and name not in own else name
        squeezed = tensor.ndim == 4 and new in own and own[new].ndim == 2 and tensor.shape[2:] == (1, 1)
        renamed[new] = tensor[:, :, 0, 0] if squeezed else tensor
    return renamed


def _weights(folder: Path, stem: str) -> dict[str, Tensor]:
    """Tensors of a part, in float32; safetensors first, then the restricted reader of pickles."""
    bins = f"{stem}.bin" if stem == _DIFFUSERS else "pytorch_model.bin"
    for name in (f"{stem}.safetensors", bins):
        if (folder / name).is_file():
            found = read_foreign_weights(folder / name)
            return {key: value.float() if value.is_floating_point() else value for key, value in found.items()}
    raise CheckpointError(
        f"{_named(folder)}: neither {stem}.safetensors nor {bins}; a part in several files (*.index.json) or of "
        "another variant (fp16) must be saved as one first, with save_pretrained"
    )


def _read_json(path: Path) -> dict[str, Any]:
    where = f"{_named(path.parent)}/{path.name}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise CheckpointError(f"{where}: missing; expected a folder in diffusers' layout") from err
    except (OSError, ValueError) as err:
        raise CheckpointError(f"{where}: damaged ({type(err).__name__}); get it again") from err
    if not isinstance(content, dict):
        raise CheckpointError(f"{where}: expected a JSON object")
    return content


def _public(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not name.startswith("_")}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _named(folder: Path) -> str:
    """The last two folders, which tell a part and its model apart."""
    return "/".join(folder.parts[-2:])
