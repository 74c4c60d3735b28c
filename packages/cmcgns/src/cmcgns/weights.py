"""Saved models: where they lie in a run, how they are written and read."""

from __future__ import annotations

from pathlib import Path

from ._shared.checkpoints import load_model, load_strict, save_model
from ._shared.engine.device import resolve_device
from ._shared.errors import CheckpointError
from .model import CMCGNS

HUB = "hub:"  # before the name of a repository
PREFIX = "model."  # of the encoder's tensors in the weights of a training run


def load(path: str | Path, *, device: str = "auto") -> CMCGNS:
    """Load a pretrained model, in eval mode.

    Args:
        path: a directory of `save` or of `CMCGNS.save_pretrained`, a run directory of `pretrain` (its last weights, of
            stage II if it has them), or `hub:owner/name`, a repository of the Hugging Face hub.
        device: "auto", "cpu", "cuda", ...

    Raises:
        CheckpointError: no weights there, or they are damaged or belong to something else.
        ResourceError: the device does not exist.
    """
    where = resolve_device(device)
    if str(path).startswith(HUB):
        return CMCGNS.from_pretrained(str(path).removeprefix(HUB)).to(where)
    folder = model_directory(Path(path))
    if not folder.is_file() and not (folder / "model.safetensors").is_file():
        found = "holds no model" if folder.is_dir() else "no such folder"
        raise CheckpointError(
            f"{folder.name}: {found}; give a run directory of `cmcgns pretrain`, a model directory, or "
            f"{HUB}owner/name"
        )
    if (folder / "config.json").is_file() and not (folder / "sums.json").exists():  # of save_pretrained
        return CMCGNS.from_pretrained(folder).to(where)
    tensors, stored = load_model(folder)
    model = CMCGNS.from_json(stored, folder.name)
    own = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    load_strict(model, own or tensors, folder.name)
    return model.eval().to(where)


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
