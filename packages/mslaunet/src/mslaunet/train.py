"""Data set in, run directory with the best and last weights out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ._shared.checkpoints import load_model, load_strict, save_model
from ._shared.config import to_toml
from ._shared.engine.config import TrainConfig
from ._shared.engine.device import resolve_device
from ._shared.engine.distributed import main_process_first, rank, wait_for_all
from ._shared.engine.loop import FitResult, fit
from ._shared.files import atomic_write
from ._shared.logs import get_logger
from ._shared.runs import RunDir
from ._shared.strict_json import to_json
from .compat import scaled_rate
from .config import Config
from .data.dataset import Dataset
from .data.opening import open_configured
from .data.slices import PreparedCases, SliceSplit, prepare_cases, split_slices
from .data.splits import chosen_fold
from .model import MSLAUNet
from .postprocess import RECORD, Choice, choose_postprocessing, smallest_sizes
from .preprocess import Preprocessing, plan_preprocessing
from .pretrained import load_encoder
from .task import SegmentationTask, saved_config

log = get_logger(__name__)

# These change how long a run lasts or where it computes, not what it computes.
MUTABLE = ("train.max_minutes", "train.workers", "train.log_every", "train.keep")


@dataclass(frozen=True)
class TrainingData:
    """A data set made ready for training."""

    dataset: Dataset
    plan: Preprocessing
    cases: PreparedCases
    split: SliceSplit


def prepare_training(dataset: Dataset, config: Config, cache: Path, *, quiet: bool = False) -> TrainingData:
    """Bring the cases of a data set to the network's grid and split them."""
    plan = plan_preprocessing(dataset, config.data, config.compat)
    native = plan.model_copy(update={"resize_px": None}) if config.augment.before_resize else plan
    with main_process_first():
        cases = prepare_cases(
            dataset, native, cache, max_excluded_fraction=config.data.max_excluded_fraction, quiet=quiet
        )
    split = split_slices(
        cases.cases,
        by=config.data.split,
        fraction=config.data.validation_fraction,
        block=config.data.block_slices,
        seed=config.data.split_seed if config.data.split_seed is not None else config.train.seed,
        folds=config.data.folds,
        fold=config.data.fold,
        group=config.data.group,
        given=chosen_fold(dataset, config.data.split, config.data.fold) if config.data.folds is None else None,
    )
    if split.by == "slices":
        log.warning("validation slices come from the training cases: the score shows fitting, not generalisation")
    return TrainingData(dataset, plan, cases, split)


def build_model(config: Config, *, num_classes: int, in_channels: int) -> MSLAUNet:
    """The network of a configuration, its initial weights decided by the seed alone."""
    arguments = config.model.model_dump()
    pretrained = arguments.pop("pretrained")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        model = MSLAUNet.variant(
            arguments.pop("variant"),
            num_classes=num_classes,
            in_channels=in_channels,
            trained_size=(config.data.side_px, config.data.side_px),
            **arguments,
        )
    if pretrained is not None:
        load_encoder(model, pretrained)
    return model


def build_task(config: Config, data: TrainingData, model: nn.Module | None = None) -> SegmentationTask:
    """The task for the shared loop; `model` replaces the configured network (for baselines)."""
    architecture: Mapping[str, Any] = {}
    if model is None:
        model = build_model(config, num_classes=len(data.dataset.classes), in_channels=data.plan.input_channels)
        architecture = model.config
    saved = saved_config(architecture, data.plan, data.dataset.classes, data.dataset.mask_values)
    return SegmentationTask(model, data.cases, data.split, config, data.plan, saved)


def train(
    config: Config,
    run_dir: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    allow_config_change: bool = False,
    quiet: bool = False,
    model: nn.Module | None = None,
    cache: Path | None = None,
) -> FitResult:
    """Train until the steps, the minutes or the patience are used up; safe to kill at any time.

    Args:
        config: the run's settings.
        run_dir: where everything is written.
        device: "auto", "cpu", "cuda", ...
        resume: continue the run in `run_dir`, bit-exact.
        allow_config_change: continue although the settings differ.
        quiet: no progress.
        model: a network to train instead of the configured one (B, C, H, W) -> (B, K, H, W).
        cache: where prepared cases lie; several runs on one data set may share it.

    Raises:
        ConfigError: the directory holds another run, or the settings changed.
        DataError: the data set cannot be used.
        ResourceError: no memory, disk or device.
        NumericsError: the loss is not finite more often than allowed.
    """
    resolve_device(device)  # an absent one is no reason to prepare data and occupy the run directory
    config = with_absolute_root(config)
    dataset = open_configured(config.data)
    with RunDir.open(
        run_dir,
        config_toml=to_toml(config),
        resume=resume,
        allow_config_change=allow_config_change,
        mutable=MUTABLE,
    ) as run:
        data = prepare_training(dataset, config, cache or run.path / "cache", quiet=quiet)
        run.write_data(describe_data(data))
        task = build_task(config, data, model)
        result = fit(task, engine_settings(config), run, device=device, resume=resume, quiet=quiet)
        if rank() == 0:
            finish(task, config, result, run.path)
        wait_for_all()
        return result


def with_absolute_root(config: Config) -> Config:
    """The same settings with the data set's absolute path, so that a run can be resumed from any folder."""
    data = config.data.model_copy(update={"root": config.data.root.resolve()})
    return config.model_copy(update={"data": data})


def engine_settings(config: Config) -> TrainConfig:
    """Settings of the loop: with the official rule for the learning rate, if switched on, and a monitor, if any.

    Without a validation part nothing can be monitored.
    """
    changes: dict[str, Any] = {}
    if config.compat.batch_scaled_lr:
        changes["lr"] = scaled_rate(config.train.lr, config.train.batch_size)
    if config.data.split == "none":
        changes["monitor"] = None
    return config.train.model_copy(update=changes)


def finish(task: SegmentationTask, config: Config, result: FitResult, run_dir: Path) -> None:
    """What is done once after the last step: the official name swap, or the choice of post-processing."""
    if config.compat.best_is_last:  # T1
        tensors, saved = load_model(result.last_path)
        save_model(result.best_path, tensors, saved)
    choice = None
    if config.postprocess == "auto" and task.split.by in ("cases", "file"):
        choice = validate_postprocessing(task, result.best_path)
    atomic_write(run_dir / RECORD, to_json(describe_choice(choice, task.split.by), indent=2) + "\n")


def validate_postprocessing(task: SegmentationTask, weights: Path) -> Choice:
    """Choose the post-processing on the whole validation cases, with the best weights; one case is held at a time."""
    load_strict(task.model, load_model(weights)[0], weights.name)
    task.model.eval()
    indices = sorted({c for c, _ in task.split.validation})
    cases = [task.cases[index] for index in indices]
    smallest = smallest_sizes(((case.mask, case.spacing_mm) for case in cases), range(1, len(task.classes)))

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray, tuple[float, ...]]]:
        for index, case in zip(indices, cases, strict=True):
            predicted, reference = task.predict_case(task.model, index)
            grid = np.array(case.spacing_mm) * case.mask.shape / np.array(reference.shape)
            yield predicted, reference, tuple(grid.tolist())

    with torch.inference_mode():
        return choose_postprocessing(pairs(), smallest)


def describe_choice(choice: Choice | None, split_by: str) -> dict[str, Any]:
    """The record of the choice, with its evidence; or why there is none."""
    if choice is None:
        return {"chosen": {"steps": {}}, "reason": f"not chosen: postprocess is none, or split by {split_by}"}
    return {
        "chosen": choice.config.model_dump(),
        "validation_cases": choice.cases,
        "dice_before": dict(choice.before),
        "dice_after": dict(choice.after),
    }


def describe_data(data: TrainingData) -> dict[str, Any]:
    """What went into a run: hashes of the cases, their roles, and the excluded ones with reasons."""
    roles: dict[str, set[str]] = {}
    for role, places in (("train", data.split.train), ("validation", data.split.validation)):
        for index, _ in places:
            roles.setdefault(data.cases.cases[index].case_id, set()).add(role)
    return {
        "layout": data.dataset.layout,
        "classes": {str(k): v for k, v in data.dataset.classes.items()},
        "preprocessing": data.plan.model_dump(),
        "split": {"by": data.split.by, "train": len(data.split.train), "validation": len(data.split.validation)},
        "cases": [
            {"case_id": case.case_id, "sha256": case.sha256, "roles": sorted(roles.get(case.case_id, ()))}
            for case in data.cases.cases
        ],
        "excluded": data.cases.excluded,
    }
