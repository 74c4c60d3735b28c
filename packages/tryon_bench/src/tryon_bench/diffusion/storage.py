"""A trained model on disk: the parts that were trained in diffusers' layout, and what they belong to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from pydantic import ValidationError

from .._shared.checkpoints import load_model, load_strict, replacing_folder
from .._shared.errors import CheckpointError
from .._shared.files import atomic_write, sha256_file
from .._shared.foreign import read_foreign_weights
from .components import Components, new_controlnet
from .config import TINY, DiffusionConfig
from .folders import find_base, load_base, load_controlnet, load_encoder, save_base, save_encoder
from .hints import hint_channels
from .lora import add_lora
from .model import GuidedInpainting

BASE, CONTROLNET, LORA, ENCODER, CARD = "base", "controlnet", "unet_lora", "image_encoder", "tryon.json"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What `load_trained` finds.

    Attributes:
        model: base and ControlNet, in eval mode.
        config: of its training.
        sha256: over the weights of all parts, base included.
        note: what a table must say beside its numbers; "" for a published base.
    """

    model: GuidedInpainting
    config: DiffusionConfig
    sha256: str
    note: str


def build_model(components: Components, config: DiffusionConfig, start: Path | None = None) -> GuidedInpainting:
    """A model before training: what the settings ask for on top of a base.

    Args:
        components: the base.
        config: of the run.
        start: ControlNet to begin with, such as that of the tiny base; by default that of `config`, or a new one.

    Raises:
        CheckpointError: the ControlNet to start from does not fit.
    """
    channels = hint_channels(config.frame.hints)
    if config.controlnet:
        start = Path(config.controlnet)
    if start is not None:
        controlnet = load_controlnet(start)
        expected = new_controlnet(components, channels).config
        for name in ("in_channels", "conditioning_channels", "cross_attention_dim", "block_out_channels"):
            if controlnet.config[name] != expected[name]:
                raise CheckpointError(
                    f"controlnet: {name} is {controlnet.config[name]}, base and frame.hints need {expected[name]}"
                )
    else:
        controlnet = new_controlnet(components, channels)
    if config.lora_rank:
        add_lora(components.unet, config.lora_rank, config.lora_alpha or config.lora_rank)
    if config.gradient_checkpointing:
        controlnet.enable_gradient_checkpointing()
        components.unet.enable_gradient_checkpointing()
    return GuidedInpainting(components, controlnet, train_mapping=config.train_mapping)


def export_run(run_dir: Path, config: DiffusionConfig, weights: Path, pairs: int) -> None:
    """Write what was trained as diffusers and peft read it: `controlnet/`, `unet_lora/`, `image_encoder/`.

    Args:
        run_dir: of the training.
        config: its settings.
        weights: a folder of the training loop, `checkpoints/last` or `checkpoints/best`.
        pairs: number of training pairs.

    Raises:
        CheckpointError: the weights belong to another model.
        ResourceError: the disk refuses.
    """
    folder = base_folder(run_dir, config)
    model = build_model(load_base(folder), config)
    tensors, _ = load_model(weights)
    load_strict(model, tensors, weights.name)
    with replacing_folder(run_dir / CONTROLNET) as target:
        model.controlnet.save_pretrained(target)
    if config.lora_rank:
        with replacing_folder(run_dir / LORA) as target:
            model.components.unet.save_lora_adapter(target)
    if config.train_mapping:
        with replacing_folder(run_dir / ENCODER) as target:
            save_encoder(model.components.encoder, target)
    card = {
        "package": "tryon_bench",
        "diffusion": config.model_dump(mode="json"),
        "base_sha256": folder_sha256(folder),
        "pairs": pairs,
        "note": f"tiny random-weight base, trained on {pairs} pairs" if config.base == TINY else "",
    }
    atomic_write(run_dir / CARD, json.dumps(card, indent=2) + "\n")


def load_trained(run_dir: Path) -> TrainedModel:
    """A model of a finished `train-pbe`.

    Raises:
        CheckpointError: not such a folder, not finished, damaged, or its base is another one now.
    """
    card = _read_card(run_dir)
    config = _config_of(card, run_dir)
    folder = base_folder(run_dir, config)
    base_sum = folder_sha256(folder)
    if base_sum != card.get("base_sha256"):
        raise CheckpointError(
            f"{run_dir.name}: trained on another base than {folder.name} is now; give back the one that it was "
            "trained on"
        )
    components = load_base(folder)
    if (run_dir / ENCODER).is_dir():
        components = Components(components.vae, components.unet, load_encoder(run_dir / ENCODER), components.noise)
    if config.lora_rank:
        _load_lora(components, run_dir / LORA)
    model = GuidedInpainting(components, load_controlnet(run_dir / CONTROLNET))
    own = [folder_sha256(run_dir / part) for part in (CONTROLNET, LORA, ENCODER) if (run_dir / part).is_dir()]
    digest = hashlib.sha256("\n".join([base_sum, *own]).encode()).hexdigest()
    return TrainedModel(model.requires_grad_(False).eval(), config, digest, str(card.get("note", "")))


def base_folder(run_dir: Path, config: DiffusionConfig) -> Path:
    """Where the base of a run lies: inside it, if it is the tiny one."""
    return run_dir / BASE if config.base == TINY else find_base(config.base)


def write_base(components: Components, controlnet: ControlNetModel, run_dir: Path) -> None:
    """Write the tiny base of a run and the ControlNet that was trained with it, whole or not at all."""
    with replacing_folder(run_dir / BASE) as target:
        save_base(components, target)
        controlnet.save_pretrained(target / CONTROLNET)


def joint_controlnet(run_dir: Path, config: DiffusionConfig) -> Path | None:
    """The ControlNet that was trained with the tiny base; None with a published base."""
    return run_dir / BASE / CONTROLNET if config.base == TINY else None


def folder_sha256(folder: Path) -> str:
    """SHA-256 over names and contents of all weights and settings of a folder.

    Of safetensors the tensors count, not the metadata: peft writes a set there, in an order that differs between runs.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".safetensors", ".bin", ".json") and p.is_file())
    lines = [f"{path.relative_to(folder).as_posix()} {_content_sha256(path)}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _content_sha256(path: Path) -> str:
    if path.suffix != ".safetensors":
        return sha256_file(path)
    digest = hashlib.sha256()
    for name, tensor in sorted(read_foreign_weights(path).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _load_lora(components: Components, folder: Path) -> None:
    path = folder / "pytorch_lora_weights.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{folder.parent.name}/{folder.name}/{path.name}: missing; train again")
    components.unet.load_lora_adapter(str(folder), prefix=None, weight_name=path.name)


def _read_card(run_dir: Path) -> dict[str, Any]:
    path = run_dir / CARD
    if not path.is_file():
        started = (run_dir / "config.toml").is_file()
        raise CheckpointError(
            f"{run_dir.name}: "
            + (
                "training has not ended; continue it with --resume"
                if started
                else f"no {CARD}; give the --run-dir of a finished train-pbe"
            )
        )
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise CheckpointError(f"{run_dir.name}/{CARD}: damaged ({type(err).__name__}); train again") from err
    if not isinstance(card, dict) or card.get("package") != "tryon_bench" or "diffusion" not in card:
        raise CheckpointError(f"{run_dir.name}/{CARD}: not of a model of this package")
    return card


def _config_of(card: dict[str, Any], run_dir: Path) -> DiffusionConfig:
    try:
        return DiffusionConfig.model_validate(card["diffusion"])
    except ValidationError as err:
        raise CheckpointError(f"{run_dir.name}/{CARD}: settings of another version; train again") from err
