"""Saved models: where they lie in a run, how they are written and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ._shared.checkpoints import load_model, load_strict, save_model
from ._shared.engine.device import resolve_device
from ._shared.errors import CheckpointError
from .config import ModelConfig
from .model import CMCGNS

PREFIX = "model."  # of the encoder's tensors in the weights of a training run


def load(path: str | Path, *, device: str = "auto") -> CMCGNS:
    """Load a pretrained model, in eval mode.

    Args:
        path: a directory of `save`, or a run directory of `pretrain` (its last weights, of stage II if it has them).
        device: "auto", "cpu", "cuda", ...

    Raises:
        CheckpointError: no weights there, or they are damaged or belong to something else.
        ResourceError: the device does not exist.
    """
    where = resolve_device(device)
    folder = model_directory(Path(path))
    tensors, stored = load_model(folder)
    model = rebuild(stored, folder.name)
    own = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    load_strict(model, own or tensors, folder.name)
    return model.eval().to(where)


def rebuild(stored: dict[str, Any], source: str) -> CMCGNS:
    """The model of a stored configuration, its weights still random.

    Raises:
        CheckpointError: it is no configuration of this package.
    """
    if stored.get("package") != "cmcgns" or "model" not in stored or "text" not in stored:
        raise CheckpointError(f"{source}: not a cmcgns model; give a run directory or a model directory")
    try:
        return CMCGNS(ModelConfig.model_validate(stored["model"]), stored["text"])
    except (ValidationError, KeyError, TypeError) as err:
        raise CheckpointError(
            f"{source}/config.json: damaged ({type(err).__name__}); save the model again"
        ) from err


def save(model: CMCGNS, directory: Path) -> None:
    """Write a model without its training state: safetensors, JSON and sums.

    Raises:
        ResourceError: it cannot be written.
    """
    save_model(directory, model.state_dict(), model.to_json())


def model_directory(path: Path) -> Path:
    """The last weights of a run directory, stage II before stage I; any other path as it is.

    Raises:
        CheckpointError: the run has no weights yet.
    """
    if not (path / "stage1").is_dir():
        return path
    found = [path / stage / "checkpoints" / "last" for stage in ("stage2", "stage1")]
    for folder in found:
        if folder.is_dir():
            return folder
    raise CheckpointError(f"{path.name}: stage I of this run has not ended; continue it with --resume")
