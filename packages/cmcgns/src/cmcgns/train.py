"""Pairs in, run directory with the weights of both stages out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ._shared.checkpoints import load_model, load_strict
from ._shared.config import to_toml
from ._shared.engine.config import TrainConfig
from ._shared.engine.device import resolve_device
from ._shared.engine.loop import FitResult, fit
from ._shared.errors import ConfigError, DataError
from ._shared.logs import get_logger
from ._shared.order import generator
from ._shared.runs import RunDir
from .config import Config
from .data.config import open_data
from .data.pairs import Pair, PairDataset
from .model import CMCGNS
from .objective import Objective, build_objective, freeze_unreached
from .task import PretrainTask
from .tokens import SPLITTERS

log = get_logger(__name__)

# These change how long a run lasts or where it computes, not what it computes.
_FREE = ("max_minutes", "workers", "log_every", "keep")
MUTABLE = tuple(f"{stage}.{name}" for stage in ("stage1", "stage2") for name in _FREE)


@dataclass(frozen=True)
class PretrainResult:
    """What `pretrain` leaves; `stage2` is None where the run has one stage or its time was up before."""

    stage1: FitResult
    stage2: FitResult | None

    @property
    def last(self) -> FitResult:
        """The result of the last stage that ran."""
        return self.stage2 or self.stage1


def pretrain(
    config: Config,
    run_dir: Path,
    *,
    dataset: PairDataset | None = None,
    device: str = "auto",
    resume: bool = False,
    allow_config_change: bool = False,
    quiet: bool = False,
) -> PretrainResult:
    """Train both stages; safe to kill at any time.

    Each stage is a run of its own, `run_dir/stage1` and `run_dir/stage2`, with its own optimiser and schedule. Stage II
    begins with the last weights of stage I, its clusters included. `cmcgns.load(run_dir)` reads the result.

    Args:
        config: the run's settings.
        run_dir: where everything is written.
        dataset: pairs with sides "train" and "validation"; by default those of `config.data`.
        device: "auto", "cpu", "cuda", ...
        resume: continue the run in `run_dir`, bit-exact on a CPU.
        allow_config_change: continue although the settings or data differ.
        quiet: no progress.

    Raises:
        ConfigError: no data, the directory holds another run, or the settings changed.
        DataError: the data set cannot be used.
        ResourceError: no memory, disk or device.
        NumericsError: the loss is not finite more often than allowed.
    """
    resolve_device(device)  # an absent one is no reason to read data and occupy the run directory
    data = _usable(dataset if dataset is not None else _configured(config))
    common: dict[str, Any] = {"device": device, "resume": resume, "quiet": quiet}
    first = _stage(1, config, run_dir / "stage1", data, None, allow_config_change, common)
    if config.stages == 1 or first.stopped == "time":
        return PretrainResult(first, None)
    second = _stage(2, config, run_dir / "stage2", data, first.last_path, allow_config_change, common)
    return PretrainResult(first, second)


def build_model(config: Config) -> CMCGNS:
    """The encoder of a configuration, its initial weights decided by the seed alone (and by pretrained towers)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.stage1.seed)
        return CMCGNS(config.model)


def build_task(config: Config, data: PairDataset, *, stage: int = 1, weights: Path | None = None) -> PretrainTask:
    """The task of one stage for the shared loop.

    Args:
        config: the run's settings.
        data: pairs with sides "train" and "validation".
        stage: 1 or 2.
        weights: of the stage before.

    Raises:
        DataError: a side is empty.
        CheckpointError: the weights belong to another model.
    """
    model = build_model(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.stage1.seed + stage)
        objective = build_objective(model, config, stage)
    if weights is not None:
        _continue_from(objective, weights)
    train = data.side("train")
    held_out = [pair for pair in data if pair.split == "validation"][: config.validation_pairs]
    task = PretrainTask(objective, train, held_out, config, stage=stage)
    numbers = range(min(2, len(train)))
    frozen = freeze_unreached(objective, task.batch(list(numbers), [generator(0, "probe", i) for i in numbers]))
    if frozen:
        log.info("%d tensors take no part in these losses and stay as they are", len(frozen))
    return task


def _stage(
    stage: int,
    config: Config,
    folder: Path,
    data: PairDataset,
    weights: Path | None,
    allow_change: bool,
    common: dict[str, Any],
) -> FitResult:
    settings: TrainConfig = config.stage1 if stage == 1 else config.stage2
    with RunDir.open(
        folder,
        config_toml=to_toml(config),
        resume=common["resume"],
        allow_config_change=allow_change,
        mutable=MUTABLE,
    ) as run:
        run.write_data(describe_data(data))
        task = build_task(config, data, stage=stage, weights=weights)
        return fit(task, settings, run, **common)


def _configured(config: Config) -> PairDataset:
    if config.data is None:
        raise ConfigError(
            "data.root: expected a data set; give it as the command's argument or with --set data.root="
        )
    return open_data(config.data)


def _usable(dataset: PairDataset) -> PairDataset:
    """Leave out pairs whose report has no sentence, counted.

    Raises:
        DataError: none is left.
    """
    split = SPLITTERS["sentences"]
    kept: list[Pair] = [pair for pair in dataset if split(pair.report)]
    dropped = len(dataset) - len(kept)
    if not kept:
        raise DataError(
            f"{dataset.name}: none of {len(dataset)} films has a report with a sentence; check the text"
        )
    if dropped:
        log.warning("%d of %d pairs left out: no sentence in the report", dropped, len(dataset))
    reasons = {**dataset.excluded, **({"no sentence": f"{dropped} pairs"} if dropped else {})}
    return PairDataset(dataset.name, tuple(kept), dataset.label_names, reasons)


def _continue_from(objective: Objective, weights: Path) -> None:
    """Take over everything that the stage before had; what is new keeps its initial weights."""
    tensors, _ = load_model(weights)
    own = objective.state_dict()
    fresh = {name: value for name, value in own.items() if name.startswith("decoder.")}
    load_strict(objective, {**fresh, **tensors}, weights.parent.parent.name)


def describe_data(data: PairDataset) -> dict[str, Any]:
    """What went in: counts, and a hash of the ids on each side."""
    sides = {}
    for side in ("train", "validation", "test"):
        ids = sorted(f"{pair.patient_id}/{pair.sample_id}" for pair in data if pair.split == side)
        digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
        patients = len({pair.patient_id for pair in data if pair.split == side})
        sides[side] = {"pairs": len(ids), "patients": patients, "sha256": digest}
    return {
        "format": data.name,
        "sides": sides,
        "synthetic_pairs": sum(pair.synthetic for pair in data),
        "excluded": dict(data.excluded),
    }
