"""What each switch of the network is worth on a data set: one factor at a time from `corrected`, over seeds."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scipy import stats

from ._shared.errors import ConfigError, DataError
from ._shared.files import atomic_write, require_writable_dir
from ._shared.logs import get_logger
from ._shared.strict_json import to_json
from .config import Config
from .report import text_table
from .train import train

log = get_logger(__name__)

REFERENCE = "corrected"
RESULTS = "ablation.json"

# What an arm changes; everything else stays as in `corrected`.
ARMS: dict[str, dict[str, Any]] = {
    REFERENCE: {},
    "layout": {"token_layout": "legacy"},
    "head-merge": {"head_merge": "legacy"},
    "softmax": {"softmax": "swapped"},
    "aggregation": {"aggregation": "official"},
    "kernels": {"kernel_sizes": (3,)},
}


class Interval(NamedTuple):
    """Mean of some seeds with Student's 95 % interval; sd and limits are None for a single value."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


def seed_interval(values: Sequence[float]) -> Interval:
    """Mean and Student's t interval over seeds, which says how the training's own chance moves the mean.

    Example:
        >>> interval = seed_interval([0.5, 0.6, 0.7])
        >>> round(interval.mean, 3), round(interval.low, 3), round(interval.high, 3)
        (0.6, 0.352, 0.848)
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Interval(mean, None, None, None, len(values))
    sd = statistics.stdev(values)
    half = float(stats.t.ppf(0.975, len(values) - 1)) * sd / math.sqrt(len(values))
    return Interval(mean, sd, mean - half, mean + half, len(values))


def ablate(
    config: Config,
    run_dir: Path,
    *,
    seeds: int = 3,
    arms: Sequence[str] = tuple(ARMS),
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train every arm with every seed, score the last weights on the validation part, write `ablation.json`.

    Seeds are the outer loop, so that an interrupted ablation has all arms of the seeds before. The validation part
    is the same in all runs. Weights are scored once, at the end: nothing is selected on the part that is scored.

    Args:
        config: data and training; its model must be the preset `corrected`.
        run_dir: a folder `<arm>/seed-<n>` per run.
        seeds: runs per arm, from `train.seed` on.
        arms: keys of `ARMS`; the reference is always among them.
        device: "auto", "cpu", "cuda", ...
        resume: keep finished runs, go on with the others.
        quiet: no progress.

    Returns:
        What `ablation.json` holds: scores per arm and seed, see `summarise`.

    Raises:
        ConfigError: an unknown arm, another preset, no validation part, or `run_dir` holds an ablation.
        DataError: a validation score is undefined.
    """
    wanted = [REFERENCE, *(arm for arm in arms if arm != REFERENCE)]
    if unknown := [arm for arm in wanted if arm not in ARMS]:
        raise ConfigError(f"arm {unknown[0]!r} is unknown; choose from {', '.join(ARMS)}")
    if config.model.preset != REFERENCE:
        raise ConfigError(f"an ablation starts from the preset {REFERENCE!r}, got {config.model.preset!r}")
    if config.data.split == "none":
        raise ConfigError("an ablation needs a validation part, but data.split is none; use data.split=auto")
    require_writable_dir(run_dir)
    if any(run_dir.iterdir()) and not resume:
        raise ConfigError(f"{run_dir.name}: holds files already; continue with --resume, or choose another folder")
    scores: dict[str, dict[str, float]] = {arm: {} for arm in wanted}
    first = config.train.seed
    for seed in range(first, first + seeds):
        for arm in wanted:
            folder = run_dir / arm / f"seed-{seed}"
            log.info("arm %s, seed %d", arm, seed)
            train(
                variation(config, arm, seed),
                folder,
                device=device,
                resume=True,
                quiet=quiet,
                cache=run_dir / "cache",
            )
            scores[arm][str(seed)] = last_score(folder)
            atomic_write(run_dir / RESULTS, to_json({"scores": scores}, indent=2) + "\n")
    result = {"scores": scores, **summarise(scores)}
    atomic_write(run_dir / RESULTS, to_json(result, indent=2) + "\n")
    return result


def variation(config: Config, arm: str, seed: int) -> Config:
    """The settings of one run: one factor changed, validated at the last step only."""
    split_seed = config.train.seed if config.data.split_seed is None else config.data.split_seed
    steps = config.train.max_steps
    if steps is None or config.train.max_minutes is not None or config.train.patience is not None:
        raise ConfigError(
            "arms must do equal work: set train.max_steps, and neither train.max_minutes nor patience"
        )
    changes = {
        "data": config.data.model_copy(update={"split_seed": split_seed}),
        "model": config.model.model_copy(update=ARMS[arm]),
        "train": config.train.model_copy(update={"seed": seed, "validate_every": steps}),
    }
    return config.model_copy(update=changes)


def last_score(run_dir: Path) -> float:
    """Validation Dice of the last weights, from the run's log."""
    lines = (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [record["dice"] for line in lines if (record := json.loads(line))["split"] == "val"]
    if not found or found[-1] is None:
        raise DataError(
            f"{run_dir.parent.name}/{run_dir.name}: the validation Dice is undefined: no class to find"
        )
    return float(found[-1])


def summarise(scores: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Mean and interval of every arm, and of its difference from the reference, paired by seed."""
    reference = scores[REFERENCE]
    arms = {}
    for arm, by_seed in scores.items():
        entry: dict[str, Any] = {"dice": seed_interval(list(by_seed.values()))._asdict()}
        if arm != REFERENCE:
            differences = [value - reference[seed] for seed, value in by_seed.items()]
            entry["difference"] = seed_interval(differences)._asdict()
        arms[arm] = entry
    return {"reference": REFERENCE, "arms": arms}


def ablation_text(result: Mapping[str, Any]) -> str:
    """The table, and what it does not say."""
    rows: list[list[str]] = []
    for arm, entry in result["arms"].items():
        changed = ", ".join(f"{k} {v}" for k, v in ARMS[arm].items()) or "all as corrected"
        rows.append([arm, changed, *_cells(entry["dice"]), *_cells(entry.get("difference"))[:2]])
    header = ["arm", "changed", "Dice", "95 % interval", "seeds", "difference", "95 % interval of it"]
    caveat = (
        "Dice of the last weights on the validation part, mean over classes; Student's intervals over seeds, which "
        "hold the\nchance of training and not that of patients. Many comparisons are made and none is adjusted."
    )
    return f"{text_table(header, rows)}\n{caveat}"


def _cells(interval: Mapping[str, Any] | None) -> list[str]:
    if interval is None:
        return ["-", "-", "-"]
    if interval["low"] is None:
        return [f"{interval['mean']:.4f}", "-", str(interval["n"])]
    return [f"{interval['mean']:.4f}", f"{interval['low']:.4f} to {interval['high']:.4f}", str(interval["n"])]
