"""A pretrained tower and a labelled data set in, a fine-tuned model and its test metric out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from .._shared.checkpoints import load_model, load_strict
from .._shared.config import to_toml
from .._shared.engine.device import resolve_device
from .._shared.engine.loop import FitResult, fit
from .._shared.errors import CheckpointError, DataError
from .._shared.files import atomic_write
from .._shared.runs import RunDir
from .._shared.strict_json import to_json
from ..data.config import open_data
from ..data.pairs import Pair, PairDataset
from ..data.splits import fraction_of
from ..model import CMCGNS
from ..weights import load
from .config import FinetuneConfig
from .models import Model, build_downstream
from .scores import score_side
from .task import FinetuneTask, usable

RESULT = "metrics.json"
MUTABLE = ("train.max_minutes", "train.workers", "train.log_every", "train.keep")


@dataclass(frozen=True)
class FinetuneResult:
    """What a fine-tuning run leaves.

    Attributes:
        fit: steps and weights.
        test: metric of the best weights on the test side, with its interval.
        names: findings.
        comparable: False where the tower had random weights.
    """

    fit: FitResult
    test: dict[str, Any]
    names: tuple[str, ...]
    comparable: bool

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        kept = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self.fit).items()}
        return {"test": self.test, "findings": list(self.names), "comparable": self.comparable, "fit": kept}


def finetune(
    config: FinetuneConfig,
    model: Path | CMCGNS,
    run_dir: Path,
    *,
    dataset: PairDataset | None = None,
    random_weights: bool = False,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
) -> FinetuneResult:
    """Fine-tune on the training side, choose by the validation side, score the test side once.

    Args:
        config: job, head, data, training.
        model: a pretrained model or where it lies.
        run_dir: where everything is written; `metrics.json` holds the result.
        dataset: with its sides; default: `config.data`.
        random_weights: the same tower without its pretraining, for comparison; stamped NOT COMPARABLE.
        device: "auto", "cpu", "cuda", ...
        resume: continue the run in `run_dir`.
        quiet: no progress.

    Raises:
        ConfigError: the directory holds another run.
        DataError: no labels, boxes or masks for this job, or the data cannot be used.
        CheckpointError: no such model.
    """
    resolve_device(device)
    pretrained = load(model, device="cpu") if isinstance(model, Path) else model
    config = _sized(config, pretrained)
    data = dataset if dataset is not None else open_data(config.data)
    names = usable(data, config)
    train = training_films(data, config, names)
    with RunDir.open(run_dir, config_toml=to_toml(config), resume=resume, mutable=MUTABLE) as run:
        run.write_data(_described(data, train, names, random_weights))
        module = _module(config, pretrained, len(names), random_weights)
        stored = _stored(config, pretrained, names)
        task = FinetuneTask(module, train, data.side("validation").pairs, config, names, stored)
        fitted = fit(task, config.train, run, device=device, resume=resume, quiet=quiet)
        tensors, _ = load_model(fitted.best_path)
        load_strict(module, tensors, fitted.best_path.name)
        test = score_side(module, task, data.side("test").pairs, resamples=200)
        result = FinetuneResult(fitted, test, names, comparable=not random_weights)
        atomic_write(run_dir / RESULT, to_json(result.to_json(), indent=1))
    return result


def load_finetuned(path: Path, *, device: str = "auto") -> tuple[Model, FinetuneConfig, tuple[str, ...]]:
    """A fine-tuned model, its settings and its findings, from a run directory or its `checkpoints/best`.

    Raises:
        CheckpointError: no such model, or another package's.
    """
    folder = path / "checkpoints" / "best" if (path / "checkpoints" / "best").is_dir() else path
    tensors, stored = load_model(folder)
    if "finetune" not in stored:
        raise CheckpointError(f"{path.name}: not a fine-tuned model; give the run directory of `cmcgns finetune`")
    config = FinetuneConfig.model_validate(stored["finetune"])
    names = tuple(stored["findings"])
    module = build_downstream(CMCGNS.from_json(stored, folder.name).image, config, len(names))
    load_strict(module, tensors, folder.name)
    return module.eval().to(resolve_device(device)), config, names


def training_films(data: PairDataset, config: FinetuneConfig, names: tuple[str, ...]) -> list[Pair]:
    """The share of the training side that is used; in segmentation, balanced if the protocol asks for it.

    Raises:
        DataError: nothing to learn from.
    """
    side = data.side("train").pairs
    films = [side[i] for i in fraction_of(list(range(len(side))), config.fraction, config.fraction_seed)]
    if config.job == "classification":
        learnable = [p for p in films if any(name in p.labels for name in names)]
        films = learnable
    elif config.job == "detection":
        learnable = [p for p in films if any(r.label in names for r in p.regions)]
    else:
        learnable = [p for p in films if p.mask is not None or p.regions]
        if config.negatives == "balanced":
            films = learnable + [p for p in films if p.mask is None and not p.regions][: len(learnable)]
    if not names or not learnable:
        raise DataError(f"{data.name}: nothing annotated for {config.job} among {len(films)} training films")
    return films


def _sized(config: FinetuneConfig, model: CMCGNS) -> FinetuneConfig:
    """Films of the tower's size."""
    side = model.config.image.side_px
    return config.model_copy(update={"data": config.data.model_copy(update={"side_px": side})})


def _module(config: FinetuneConfig, pretrained: CMCGNS, classes: int, random_weights: bool) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        source = CMCGNS.from_json(pretrained.to_json(), "model")
        if not random_weights:
            source.load_state_dict(pretrained.state_dict())
        return build_downstream(source.image, config, classes)


def _stored(config: FinetuneConfig, pretrained: CMCGNS, names: tuple[str, ...]) -> dict[str, Any]:
    settings = config.model_dump(mode="json")
    settings["data"]["root"] = Path(settings["data"]["root"]).name  # no folders of this machine
    for key in ("reports", "images"):
        settings["data"][key] = None
    return {**pretrained.to_json(), "finetune": settings, "findings": list(names)}


def _described(
    data: PairDataset, train: list[Pair], names: tuple[str, ...], random_weights: bool
) -> dict[str, Any]:
    sides = {side: sum(pair.split == side for pair in data) for side in ("train", "validation", "test")}
    return {
        "data": data.name,
        "sides": sides,
        "used": len(train),
        "findings": list(names),
        "random_weights": random_weights,
        "excluded": dict(data.excluded),
    }
