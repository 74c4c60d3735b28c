"""One training, or several that differ in the seed or in the part kept for validation."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._shared.engine.distributed import rank
from ._shared.engine.loop import FitResult
from ._shared.errors import ConfigError
from ._shared.files import atomic_write, require_writable_dir
from ._shared.strict_json import to_json
from .config import Config
from .train import train

SUMMARY = "summary.json"


def train_many(
    config: Config,
    run_dir: Path,
    *,
    seeds: int = 1,
    folds: int | None = None,
    resume: bool = False,
    **options: Any,
) -> dict[str, FitResult]:
    """Train once into `run_dir`, or once per seed and fold into folders below it.

    All runs share the prepared cases and, for several seeds, the patients that validate: `data.split_seed`, or else
    the first seed. With `resume`, finished runs are kept and the others go on.

    Args:
        config: the settings of all runs.
        run_dir: where everything is written.
        seeds: number of runs per fold; seeds count up from `train.seed`.
        folds: cross-validation; None: the split of the settings.
        resume: go on with what is there.
        options: passed on to `train`.

    Returns:
        The result of every run by its folder's name; of a single run by "".

    Raises:
        ConfigError: `run_dir` holds a sweep and `resume` is off, or `folds` and a split that is none.
    """
    runs = variations(config, seeds=seeds, folds=folds)
    if list(runs) == [""]:
        return {"": train(config, run_dir, resume=resume, **options)}
    if (run_dir / "config.toml").exists():
        raise ConfigError(f"{run_dir.name}: holds a single run; choose another --run-dir for --seeds or --folds")
    require_writable_dir(run_dir)
    results = {}
    for name, variation in runs.items():
        results[name] = train(variation, run_dir / name, resume=resume, cache=run_dir / "cache", **options)
    if rank() == 0:
        atomic_write(
            run_dir / SUMMARY, to_json(describe_training(results, run_dir, monitored(config))[0], indent=2) + "\n"
        )
    return results


def variations(config: Config, *, seeds: int, folds: int | None) -> dict[str, Config]:
    """Settings by folder name: `seed-<n>`, `fold-<n>`, or `fold-<n>-seed-<n>`.

    Raises:
        ConfigError: cross-validation without a validation part.
    """
    if folds is not None and config.data.split == "none":
        raise ConfigError("--folds needs a validation part, but data.split is none; use data.split=cases")
    first = config.train.seed
    split_seed = first if config.data.split_seed is None else config.data.split_seed
    runs = {}
    for fold in [None] if folds is None else range(folds):
        for seed in range(first, first + seeds):
            parts = ([] if fold is None else [f"fold-{fold}"]) + ([] if seeds == 1 else [f"seed-{seed}"])
            changes: dict[str, Any] = {} if seeds == 1 and fold is None else {"split_seed": split_seed}
            if fold is not None:
                changes |= {"folds": folds, "fold": fold, "split": "cases"}
            data = config.data.model_copy(update=changes)
            settings = config.train.model_copy(update={"seed": seed})
            runs["-".join(parts)] = config.model_copy(update={"data": data, "train": settings})
    return runs


def describe_training(results: Mapping[str, FitResult], run_dir: Path, monitor: str) -> tuple[dict[str, Any], str]:
    """What `train` prints: one run, or all of them with mean and standard deviation; as JSON values and as text.

    `monitor` names the validation metric that chose the best weights.
    """
    if list(results) == [""]:
        result = results[""]
        return {"monitor": monitor, **_describe(result)}, (
            f"{result.step} steps ({result.stopped}), best validation {monitor} {_text(result.best_metric)}\n"
            f"{result.best_path}"
        )
    scores = [result.best_metric for result in results.values() if result.best_metric is not None]
    mean = statistics.fmean(scores) if scores else None
    sd = statistics.stdev(scores) if len(scores) > 1 else None
    summary = {
        "monitor": monitor,
        "runs": {name: _describe(result) for name, result in results.items()},
        "best_validation": {"mean": mean, "sd": sd, "n": len(scores)},
    }
    lines = [f"{name}  {_text(result.best_metric)}  {result.step} steps" for name, result in results.items()]
    lines.append(f"best validation {monitor} {_text(mean)} ± {_text(sd)} (mean ± sd of {len(scores)} runs)")
    return summary, "\n".join([*lines, str(run_dir / SUMMARY)])


def monitored(config: Config) -> str:
    """The validation metric that chooses the best weights."""
    return config.train.monitor or "dice"


def _describe(result: FitResult) -> dict[str, Any]:
    return {
        "steps": result.step,
        "stopped": result.stopped,
        "best_validation": result.best_metric,
        "best": str(result.best_path),
        "last": str(result.last_path),
    }


def _text(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
