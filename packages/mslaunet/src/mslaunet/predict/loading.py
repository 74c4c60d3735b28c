"""Model directories -> a predictor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from .._shared.checkpoints import load_model, load_strict
from .._shared.engine.device import resolve_device
from .._shared.errors import CheckpointError
from .._shared.logs import get_logger
from ..model import MSLAUNet
from ..postprocess import RECORD, PostProcessing
from ..preprocess import Preprocessing
from .predictor import Predictor

log = get_logger(__name__)


def load_predictor(path: Path, *others: Path, device: str = "auto", fold: bool = False) -> Predictor:
    """Load a model directory, or the best weights of a run directory; several become an ensemble.

    The folder of a training over seeds or folds stands for all of its runs. The post-processing that a run chose on
    its validation cases comes along; of several runs, only if they agree.

    Args:
        path: a run, a model directory, or the folder of several runs.
        others: further ones.
        device: "auto", "cpu", "cuda", ...
        fold: merge norms and residuals into convolutions: faster, equal up to rounding.

    Raises:
        CheckpointError: no weights there, they are damaged or belong to something else, or the models of an ensemble
            differ in preprocessing or classes.
        ResourceError: the device does not exist.
    """
    where = resolve_device(device)
    path, *others = (run for given in (path, *others) for run in runs_below(given))
    tensors, config = read_model(path)
    models = [_network(tensors, config, path.name)]
    for other in others:
        tensors, other_config = read_model(other)
        for part in ("preprocessing", "classes", "mask_values"):
            if other_config[part] != config[part]:
                raise CheckpointError(
                    f"{other.name}: its {part} differ from those of {path.name}; an ensemble needs models that were "
                    "trained on the same data set with the same preprocessing"
                )
        models.append(_network(tensors, other_config, other.name))
    ready = [model.eval().to(where) for model in models]
    first, *rest = (model.fold() for model in ready) if fold else ready
    return Predictor(
        first,
        Preprocessing(**config["preprocessing"]),
        {int(k): v for k, v in config["classes"].items()},
        {int(k): v for k, v in config["mask_values"].items()},
        where,
        others=tuple(rest),
        postprocessing=_common_postprocessing([path, *others]),
    )


def read_model(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and configuration of a model directory, or of the best weights of a run directory.

    Raises:
        CheckpointError: no weights there, or they are damaged or belong to something else.
    """
    tensors, config = load_model(model_directory(path))
    parts = ("model", "preprocessing", "classes", "mask_values")
    if config.get("package") != "mslaunet" or not config.get("model") or not all(part in config for part in parts):
        raise CheckpointError(
            f"{path.name}: not an mslaunet model; give a run directory or a directory of `convert`"
        )
    return tensors, config


def model_directory(path: Path) -> Path:
    """The best weights of a run directory; any other path as it is.

    Raises:
        CheckpointError: there is nothing.
    """
    if not path.exists():
        raise CheckpointError(f"{path.name}: no such model; give a run directory or a model directory")
    best = path / "checkpoints" / "best"
    return best if best.is_dir() else path


def runs_below(path: Path) -> list[Path]:
    """The runs of a training over seeds or folds; any other path as it is.

    Raises:
        CheckpointError: one of its runs has no weights yet.
    """
    if (path / "checkpoints").is_dir() or not path.is_dir():
        return [path]
    runs = sorted(p.parent for p in path.glob("*/config.toml") if p.parent.name.startswith(("seed-", "fold-")))
    for run in runs:
        if not (run / "checkpoints" / "best").is_dir():
            raise CheckpointError(f"{path.name}/{run.name}: no weights yet; finish the training with --resume")
    return runs or [path]


def read_postprocessing(path: Path) -> PostProcessing | None:
    """What a run chose on its validation cases; None where it chose nothing.

    Raises:
        CheckpointError: the record is damaged.
    """
    record = path / RECORD
    if not record.is_file():
        return None
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        return PostProcessing.model_validate(content["chosen"])
    except (ValueError, KeyError, TypeError, ValidationError) as err:
        raise CheckpointError(f"{path.name}/{RECORD}: damaged; remove it or train again") from err


def _network(tensors: dict[str, Tensor], config: dict[str, Any], name: str) -> MSLAUNet:
    model = MSLAUNet(**config["model"])
    load_strict(model, tensors, name)
    return model


def _common_postprocessing(paths: Sequence[Path]) -> PostProcessing | None:
    chosen = [read_postprocessing(path) for path in paths]
    if all(one == chosen[0] for one in chosen):
        return chosen[0]
    log.warning("the models of the ensemble chose different post-processing; none is applied")
    return None
