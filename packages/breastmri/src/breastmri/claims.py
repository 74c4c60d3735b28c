"""The paper's two claims on synthetic breasts: CMSL against cross-entropy, COAM against other localisers.

Decided before the run, in `recipes/claims.toml` and the recipes that it names: seeds, cohorts, steps, losses. Each
seed has its own training and test phantoms and its own initial weights; all recipes of a seed share them.

Primary analysis: AUC difference to `claims-bce`, mean over seeds with a t interval (new training runs and cohorts);
the stratified DeLong test beside it takes the trained networks as given. Centre errors are pooled over seeds and
bootstrapped by patient. A phantom says nothing about patients.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from scipy import stats

from ._shared.config import FrozenModel, load_config, read_toml
from ._shared.errors import ConfigError
from ._shared.files import atomic_write, require_writable_dir
from ._shared.logs import get_logger
from ._shared.metrics.delong import delong, delong_test
from ._shared.metrics.statistics import PatientInterval, paired_permutation_test, patient_bootstrap
from ._shared.strict_json import to_json
from .classifier import Classifier, load_classifier
from .config import Config
from .localize import BASELINE, available_localisers, center_errors, locate
from .phantom import PhantomConfig, make_phantom
from .preprocess import BreastInput, Preprocessing, breast_input
from .recipes import recipe_path
from .task import require_label
from .train import train_breasts

log = get_logger(__name__)

NONE = "none"  # in the table, where a model cannot have a localiser
SLOW = ("occlusion", "integrated-gradients")  # tens of passes each; left out here, `localize` has them


class ClaimsPlan(FrozenModel):
    """What is trained and tested; `recipes/claims.toml` holds the values of the README's table."""

    seeds: tuple[int, ...] = Field(min_length=2)
    recipes: tuple[str, ...] = Field(min_length=2, description="the first is the reference of the comparison")
    train_cases: int = Field(ge=16)
    test_cases: int = Field(ge=20)
    flips: int = 2


def claims_plan() -> ClaimsPlan:
    """The committed plan."""
    return ClaimsPlan.model_validate(read_toml(recipe_path("claims")))


def run_claims(
    run_dir: Path, plan: ClaimsPlan, *, device: str = "cpu", resume: bool = True, quiet: bool = False
) -> dict[str, Any]:
    """Train and test every recipe on every seed; with `resume` finished runs are kept, an interrupted one goes on.

    Raises:
        ConfigError: the directory holds runs and `resume` is off.
        ResourceError: the directory cannot be written.
    """
    require_writable_dir(run_dir)
    if not resume and any(run_dir.glob("*-seed*")):
        raise ConfigError(
            f"{run_dir.name}: holds runs already: continue with --resume, or choose another --run-dir"
        )
    results = []
    for seed in plan.seeds:
        for recipe in plan.recipes:
            results.append(_one_run(run_dir, plan, recipe, seed, device, quiet))
            log.info("claims: %s, seed %d: AUC %.4f", recipe, seed, results[-1]["auc"])
    summary = summarise_claims(results, plan)
    atomic_write(run_dir / "claims.json", to_json(summary, indent=1) + "\n")
    atomic_write(run_dir / "claims.md", claims_table(summary))
    return summary


def cohort(count: int, seed: int, plan: Preprocessing) -> list[BreastInput]:
    """Unilateral phantoms as network inputs, number i depending on (seed, i) only."""
    config = PhantomConfig(size=(32, 40, 12), breasts="left")
    return [breast_input(make_phantom(i, seed=seed, config=config).study, "left", plan) for i in range(count)]


def _one_run(run_dir: Path, plan: ClaimsPlan, recipe: str, seed: int, device: str, quiet: bool) -> dict[str, Any]:
    directory = run_dir / f"{recipe}-seed{seed}"
    config = load_config(Config, recipe_path(recipe), flags={"data.root": "phantom", "train.seed": seed})
    done = directory / "result.json"
    key = {"plan": plan.model_dump(exclude={"seeds", "recipes"}), "config": config.model_dump(mode="json")}
    if done.is_file() and (stored := json.loads(done.read_text(encoding="utf-8")))["key"] == json.loads(
        to_json(key)
    ):
        return stored
    preprocessing = config.data.preprocessing
    started = time.process_time()
    train = cohort(plan.train_cases, 2 * seed, preprocessing)
    fitted = train_breasts(config, train, [], directory, phantom=True, device=device, resume=True, quiet=quiet)
    seconds = time.process_time() - started
    classifier = load_classifier(fitted.last_path, device=device)
    test = cohort(plan.test_cases, 2 * seed + 1, preprocessing)
    result = {
        "key": key,
        "recipe": recipe,
        "seed": seed,
        "cpu_seconds": seconds,
        **_tested(classifier, test, plan.flips),
    }
    atomic_write(done, to_json(result) + "\n")
    return result


def _tested(classifier: Classifier, test: Sequence[BreastInput], flips: int) -> dict[str, Any]:
    labels = [require_label(breast) for breast in test]
    scores = classifier.scores(test, batch_size=32)
    cancers = [breast for breast in test if breast.label]
    names = [name for name in available_localisers(classifier) if name not in SLOW]
    errors = {}
    for name in names:
        for count in (1, flips):
            found = locate(classifier, cancers, name, flips=count, batch_size=32)
            errors[f"{name} {count}"] = center_errors(found, cancers).tolist()
    auc = delong(labels, scores)
    return {
        "auc": auc.auc,
        "variance": auc.variance,
        "labels": labels,
        "scores": scores.tolist(),
        "errors_mm": errors,
    }


def summarise_claims(results: Sequence[Mapping[str, Any]], plan: ClaimsPlan) -> dict[str, Any]:
    """Intervals and paired tests of all runs."""
    by_run = {(r["recipe"], r["seed"]): r for r in results}
    recipes = {name: [by_run[name, seed] for seed in plan.seeds] for name in plan.recipes}
    reference = recipes[plan.recipes[0]]
    own = f"coam {plan.flips}"
    return {
        "plan": plan.model_dump(),
        "cpu_seconds": float(np.mean([r["cpu_seconds"] for r in results])),
        "auc": {name: _over_seeds([r["auc"] for r in runs]) for name, runs in recipes.items()},
        "auc_difference": {
            name: _auc_difference(runs, reference) for name, runs in recipes.items() if runs is not reference
        },
        "centre_error_mm": {name: _errors(runs) for name, runs in recipes.items()},
        "coam_minus_mm": {name: _error_differences(runs, own, plan.flips) for name, runs in recipes.items()},
        "coam_recipes": {
            name: _paired(_pooled(runs, own), _pooled(reference, own), _patients(runs))
            for name, runs in recipes.items()
            if runs is not reference
        },
    }


def _over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean with the t interval over training runs."""
    n, mean = len(values), float(np.mean(values))
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return {"mean": mean, "low": mean - half, "high": mean + half, "n_seeds": n, "values": list(values)}


def _auc_difference(runs: Sequence[Mapping[str, Any]], reference: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Paired differences over seeds, and the stratified DeLong test: their sum over the root of summed variances."""
    tests = [delong_test(a["labels"], a["scores"], b["scores"]) for a, b in zip(runs, reference, strict=True)]
    over_seeds = _over_seeds([test.difference for test in tests])
    errors = [(test.high - test.low) / (2 * stats.norm.ppf(0.975)) for test in tests]
    z = sum(test.difference for test in tests) / math.sqrt(sum(error**2 for error in errors))
    t = stats.ttest_1samp(over_seeds["values"], 0.0)
    return {**over_seeds, "p_seeds": float(t.pvalue), "delong_z": z, "delong_p": float(2 * stats.norm.sf(abs(z)))}


def _pooled(runs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [error for run in runs for error in run["errors_mm"][name]]


def _patients(runs: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    return [(run["seed"], i) for run in runs for i in range(len(run["errors_mm"][f"{BASELINE} 1"]))]


def _errors(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    table = {}
    for name in runs[0]["errors_mm"]:
        pooled = _pooled(runs, name)
        interval = patient_bootstrap(pooled, _patients(runs), statistic=np.median)
        hit = float(np.mean(np.array(pooled) <= 12.0))
        per_seed = [float(np.median(run["errors_mm"][name])) for run in runs]
        table[name] = {**_plain(interval), "hit_12mm": hit, "per_seed": per_seed}
    return table


def _error_differences(runs: Sequence[Mapping[str, Any]], own: str, flips: int) -> dict[str, dict[str, Any]]:
    others = [name for name in runs[0]["errors_mm"] if name != own and name.endswith(f" {flips}")]
    return {name: _paired(_pooled(runs, own), _pooled(runs, name), _patients(runs)) for name in others}


def _paired(a: Sequence[float], b: Sequence[float], patients: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Difference of medians with its paired bootstrap interval, and the permutation test of the mean difference."""
    pairs = np.stack([a, b], 1)
    interval = patient_bootstrap(
        pairs, list(patients), statistic=lambda rows: float(np.median(rows[:, 0]) - np.median(rows[:, 1]))
    )
    test = paired_permutation_test(a, b, list(patients))
    return {**_plain(interval), "mean_difference": test.difference, "p": test.p_value}


def _plain(interval: PatientInterval) -> dict[str, Any]:
    return {"median": interval.estimate, "low": interval.low, "high": interval.high, "n": interval.n_patients}


def claims_table(summary: Mapping[str, Any]) -> str:
    """The README's table."""
    plan = summary["plan"]
    flips = plan["flips"]
    reference = plan["recipes"][0]
    lines = [
        f"{len(plan['seeds'])} seeds, {plan['train_cases']} training and {plan['test_cases']} test phantoms each, "
        f"{summary['cpu_seconds']:.0f} processor seconds a training run.",
        "",
        f"| recipe | AUC (95 % over seeds) | difference to {reference} (95 % over seeds), p | DeLong p |",
        "|---|---|---|---|",
    ]
    for name, auc in summary["auc"].items():
        cells = ["", ""]
        if name in summary["auc_difference"]:
            d = summary["auc_difference"][name]
            cells = [
                f"{d['mean']:+.4f} ({d['low']:+.4f} to {d['high']:+.4f}), {d['p_seeds']:.3f}",
                f"{d['delong_p']:.1e}",
            ]
        lines.append(
            f"| {name} | {auc['mean']:.4f} ({auc['low']:.4f} to {auc['high']:.4f}) | {cells[0]} | {cells[1]} |"
        )
    names = list(dict.fromkeys(n for table in summary["centre_error_mm"].values() for n in table))
    lines += ["", "Median centre error in mm (95 %), all cancers of all seeds:", ""]
    lines += [
        "| localiser, flips | " + " | ".join(plan["recipes"]) + " |",
        "|---|" + "---|" * len(plan["recipes"]),
    ]
    for name in names:
        row = [_cell(summary["centre_error_mm"][recipe].get(name)) for recipe in plan["recipes"]]
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    lines += [
        "",
        f"COAM ({flips} flips) minus another localiser on the same cancers, difference of medians in mm (95 %), p:",
        "",
    ]
    lines += ["| localiser | " + " | ".join(plan["recipes"]) + " |", "|---|" + "---|" * len(plan["recipes"])]
    for name in names:
        row = [_difference_cell(summary["coam_minus_mm"][recipe].get(name)) for recipe in plan["recipes"]]
        if any(cell != NONE for cell in row):
            lines.append(f"| {name} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Mapping[str, Any] | None) -> str:
    return NONE if row is None else f"{row['median']:.1f} ({row['low']:.1f} to {row['high']:.1f})"


def _difference_cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return NONE
    return f"{row['median']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f}), {row['p']:.1e}"
