"""Directories of safetensors + JSON + SHA-256 sums that appear whole or not at all.

Neither safetensors nor torch notices a flipped bit, and `torch.save` on a full disk destroys the file that was
there; so every file is summed, and a directory is written under a hidden name, synced and renamed. No pickle.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .errors import CheckpointError, QuartetError, ResourceError
from .files import fsync_dir, fsync_file, os_error, sha256_file
from .logs import get_logger

log = get_logger(__name__)

_STATE, _CONFIG, _SUMS = "state.json", "config.json", "sums.json"
_PICKLES = {".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle"}


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint directory: its step, its JSON state, and groups of tensors read on demand."""

    path: Path
    step: int
    state: dict[str, Any]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Tensors of one group ("model", "ema", "optim", ...) on the CPU.

        Raises:
            CheckpointError: there is no such group.
        """
        return _read_tensors(self.path / f"{name}.safetensors")


def save_checkpoint(
    root: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], *, keep: int = 2
) -> Path:
    """Write `root/step-00000140`, then delete all but the newest `keep`.

    Args:
        root: the directory of the run's checkpoints; created.
        step: optimiser steps done.
        tensors: groups by name; each becomes `<name>.safetensors`.
        state: JSON values.
        keep: checkpoints left afterwards, at least 1. Ones of later steps, which a resumed run found damaged, go.

    Returns:
        The directory.

    Raises:
        ResourceError: it cannot be written (disk full, read-only); the checkpoints that exist are left alone.
    """
    target = root / f"step-{step:08d}"
    _write(target, tensors, _STATE, {**state, "step": step})
    earlier = [path for number, path in _steps(root) if number <= step][-keep:]
    for _, path in _steps(root):
        if path not in earlier:
            shutil.rmtree(path, ignore_errors=True)
    return target


def latest_checkpoint(root: Path) -> Checkpoint | None:
    """Newest checkpoint whose sums match, or None. Damaged ones are passed over with a warning."""
    for _, path in reversed(_steps(root)):
        try:
            return load_checkpoint(path)
        except CheckpointError as err:
            log.warning("damaged checkpoint skipped, the one before it is used: %s", err)
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Verify a checkpoint directory and read its state.

    Raises:
        CheckpointError: a file is missing or is not what was written.
    """
    _verify(path)
    state = _read_json(path / _STATE)
    return Checkpoint(path, int(state["step"]), state)


def clear_unfinished(root: Path) -> None:
    """Remove what a killed writer left behind. Only whoever holds the run's lock may call this."""
    for old in root.glob(".old-*"):
        target = root / old.name.removeprefix(".old-")
        if not target.exists():  # killed between the two renames
            old.rename(target)
    for path in [*root.glob(".old-*"), *root.glob(".tmp-*")]:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty hidden sibling of a folder, which takes its place, synced to disk, when the block ends well.

    Raises:
        ResourceError: the operating system refuses, to us or to safetensors; what was there stays.
    """
    temporary = target.with_name(f".tmp-{target.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        _sync(temporary)
        _replace(temporary, target)
    except (OSError, SafetensorError) as err:
        raise _write_error(err, target) from err
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def save_model(directory: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write `model.safetensors`, `config.json` and `sums.json`, replacing a directory that is there.

    Raises:
        ResourceError: it cannot be written; what was there is left alone.
    """
    _write(directory, {"model": tensors}, _CONFIG, config)


def load_model(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and configuration of a directory that `save_model` wrote, or of the `model.safetensors` inside it.

    Raises:
        CheckpointError: missing, damaged, no safetensors, or a pickle (which could run code).
    """
    if path.suffix in _PICKLES:
        raise CheckpointError(
            f"{path.name}: expected safetensors, got {path.suffix}, a pickle that could run code: use the "
            "package's `convert` command on it first"
        )
    weights = path / "model.safetensors" if path.is_dir() else path
    tensors = _read_tensors(weights)  # first, because it says best what is wrong with another kind of file
    if weights.name != "model.safetensors":
        raise CheckpointError(f"{weights.name}: expected model.safetensors beside its {_CONFIG} and {_SUMS}")
    _verify(weights.parent)
    return tensors, _read_json(weights.parent / _CONFIG)


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load weights into a module if every name and shape fits; otherwise leave it as it is.

    Args:
        module: the receiving module.
        tensors: its state dict.
        source: what the message calls the weights, e.g. a file name.

    Raises:
        CheckpointError: lists the first missing, unexpected and wrongly shaped names with both shapes.
    """
    own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in tensors.items()}
    wrong = [
        ("missing", [f"{k} {own[k]}" for k in own if k not in given]),
        ("unexpected", [f"{k} {given[k]}" for k in given if k not in own]),
        ("wrong shape", [f"{k} {given[k]}, model {own[k]}" for k in own if k in given and own[k] != given[k]]),
    ]
    found = [f"{len(names)} {kind} ({'; '.join(names[:3])})" for kind, names in wrong if names]
    if found:
        raise CheckpointError(f"{source} does not fit the model: {', '.join(found)}: check preset and num_classes")
    module.load_state_dict(dict(tensors))


def _steps(root: Path) -> list[tuple[int, Path]]:
    """Step directories by step, damaged ones included."""
    names = (re.fullmatch(r"step-(\d+)", path.name) for path in root.glob("step-*"))
    return sorted((int(match[1]), root / match[0]) for match in names if match)


def _write(target: Path, groups: Mapping[str, Mapping[str, Tensor]], document: str, content: Mapping) -> None:
    with replacing_folder(target) as temporary:
        for name, tensors in groups.items():
            save_file(_separate(tensors), temporary / f"{name}.safetensors")
        (temporary / document).write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
        sums = {path.name: sha256_file(path) for path in sorted(temporary.iterdir())}
        (temporary / _SUMS).write_text(json.dumps(sums, indent=1), encoding="utf-8")


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CPU copies as safetensors wants them: contiguous, and tied weights as tensors of their own."""
    separate: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        place = value.untyped_storage().data_ptr()
        separate[name] = value.clone() if place in seen else value
        seen.add(place)
    return separate


def _sync(directory: Path) -> None:
    for path in directory.rglob("*"):
        (fsync_dir if path.is_dir() else fsync_file)(path)
    fsync_dir(directory)


def _replace(temporary: Path, target: Path) -> None:
    """Rename; a directory in the way is moved aside first, because rename(2) replaces only empty ones."""
    old = target.with_name(f".old-{target.name}")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    temporary.rename(target)
    fsync_dir(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _write_error(err: OSError | SafetensorError, target: Path) -> QuartetError:
    if isinstance(err, OSError):
        return os_error(err, target)
    if number := re.search(r"os error (\d+)", str(err)):  # how safetensors reports the system's errors
        return os_error(OSError(int(number[1]), os.strerror(int(number[1]))), target)
    return ResourceError(f"{target.name}: cannot be written: {err}")


def _verify(directory: Path) -> None:
    """Compare every file with its sum; one that has none, or is gone, differs."""
    sums = _read_json(directory / _SUMS)
    present = {path.name for suffix in ("json", "safetensors") for path in directory.glob(f"*.{suffix}")} - {_SUMS}
    for name in sorted(present | sums.keys()):
        if name not in present or _sum(directory / name) != sums.get(name):
            raise CheckpointError(f"{directory.name}/{name}: SHA-256 differs from {_SUMS}: the file is damaged")


def _sum(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as err:
        raise CheckpointError(f"{path.parent.name}/{path.name}: cannot be read ({err.strerror})") from err


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise CheckpointError(
            f"{path.parent.name}/{path.name}: missing or damaged ({type(err).__name__})"
        ) from err
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.parent.name}/{path.name}: expected a JSON object")
    return content


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as err:
        reason = "there is no such file" if not path.exists() else "not a whole safetensors file"
        raise CheckpointError(f"{path.parent.name}/{path.name}: {reason} ({type(err).__name__})") from err
