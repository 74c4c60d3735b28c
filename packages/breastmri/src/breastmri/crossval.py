"""Train and test on folds of whole patients, or leave one site out: out-of-fold scores of every breast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ._shared.files import atomic_write
from ._shared.metrics.delong import AurocInterval, auroc_interval
from ._shared.strict_json import to_json
from .cases import Case, columns
from .classifier import load_classifier
from .config import Config
from .evaluate import ClassificationSummary, classification_summary, named_values, score_cases
from .prepare import load_breasts
from .report import auc_text, interval_text
from .splits import Split, make_folds, training_split
from .train import describe_data, refuse_many_excluded, train_breasts


@dataclass(frozen=True)
class FoldResult:
    """AUC of one held-out fold."""

    name: str
    trained_on: int
    auc: AurocInterval


@dataclass(frozen=True)
class CrossValidation:
    """Folds, and the pooled out-of-fold predictions. Scores of different networks are pooled as probabilities."""

    folds: tuple[FoldResult, ...]
    pooled: ClassificationSummary
    cases: tuple[Case, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN is undefined."""
        document: dict[str, Any] = named_values(
            {"folds": [asdict(fold) for fold in self.folds], "pooled": asdict(self.pooled)}
        )
        return document | {"cases": [asdict(case) for case in self.cases]}


def cross_validate(
    config: Config,
    run_dir: Path,
    *,
    by: str = "patients",
    folds: int = 5,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
) -> CrossValidation:
    """One run per fold in `run_dir/fold_k`; an interrupted one goes on with `resume`.

    Args:
        config: settings of every fold's training.
        run_dir: where the folds and `crossval.json` go.
        by: "patients" (StratifiedGroupKFold), "folds" (the data set's own), or "site" (leave one out).
        folds: number of folds by patients.
        device: "auto", "cpu", "cuda", ...
        resume: continue.
        quiet: no progress.

    Raises:
        DataError: too few patients or sites.
        ConfigError: unknown choice, or a directory that holds another run.
    """
    breasts = load_breasts(
        config.data.root, config.data.preprocessing, layout=config.data.layout, quiet=quiet
    ).labelled()
    refuse_many_excluded(breasts, config.data.max_excluded_fraction)
    results: list[FoldResult] = []
    cases: list[Case] = []
    for number, fold in enumerate(make_folds(breasts.facts, by, folds, config.train.seed)):
        training = breasts.subset(fold.train)
        inner = training_split(
            [{**fact, "split": ""} for fact in training.facts], config.data.validation_fraction, config.train.seed
        )
        directory = run_dir / f"fold_{number}"
        fitted = train_breasts(
            config,
            training.subset(inner.train),
            training.subset(inner.held_out),
            directory,
            phantom=breasts.synthetic,
            described=describe_data(breasts, _whole(fold, inner)),
            device=device,
            resume=resume,
            quiet=quiet,
        )
        held = score_cases(load_classifier(fitted.best_path, device=device), breasts.subset(fold.held_out))
        results.append(FoldResult(fold.name, len(inner.train), _interval(held)))
        cases += held
    pooled = classification_summary("out of fold", [_by_prob(case) for case in cases])
    result = CrossValidation(tuple(results), pooled, tuple(cases))
    atomic_write(run_dir / "crossval.json", to_json(result.to_json(), indent=1) + "\n")
    return result


def _whole(fold: Split, inner: Split) -> Split:
    """Roles among all breasts: numbers of `inner` count inside the fold's training part."""
    return Split(fold.name, [fold.train[i] for i in inner.train], [fold.train[i] for i in inner.held_out])


def _interval(cases: Sequence[Case]) -> AurocInterval:
    labels, scores, _, patients = columns(cases)
    return auroc_interval(labels, scores, patients)


def _by_prob(case: Case) -> Case:
    """Networks of different folds have different score scales; their probabilities are the common one."""
    return Case(**{**asdict(case), "score": case.prob})


def crossval_text(result: CrossValidation) -> str:
    """What `crossval` prints: a line per fold and the pooled one."""
    lines = [
        f"{fold.name}: AUC {interval_text(*fold.auc[:3], fold.auc.n_patients, fold.auc.undefined)}"
        for fold in result.folds
    ]
    return "\n".join([*lines, f"out of fold, by probability: AUC {auc_text(result.pooled)}"])
