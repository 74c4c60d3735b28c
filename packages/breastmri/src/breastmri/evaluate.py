"""A trained model on labelled breasts: every number with n and an interval, localisers beside the trivial baseline."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._shared.errors import DataError
from ._shared.files import atomic_write
from ._shared.logs import get_logger, progress
from ._shared.metrics.classification import (
    OperatingPoint,
    auroc,
    average_precision,
    brier,
    expected_calibration_error,
    metric_interval,
    operating_point,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from ._shared.metrics.delong import auroc_interval
from ._shared.metrics.statistics import PatientInterval, patient_bootstrap
from ._shared.strict_json import to_json
from .cases import EVALUATION_FILE, Case, columns, digest
from .classifier import Classifier
from .froc import FrocPoint, Marks, froc
from .geometry import distance_mm
from .localize import BASELINE, Location, center_errors, inside_lesion, locate
from .preprocess import BreastInput
from .task import require_label

log = get_logger(__name__)

FACTS = {  # subgroups by a study's meta, and the names that the data sets give them
    "vendor": ("vendor", "manufacturer"),
    "field_strength_t": ("field_strength_t", "field_strength"),
    "density": ("density", "breast_density"),
}
HIT_MM = 12.0  # a centre this near to the annotated one counts as a hit; ours


@dataclass(frozen=True)
class ClassificationSummary:
    """Metrics of a group of breasts. AUC has the patient-clustered DeLong interval and the bootstrap beside it."""

    group: str
    n: int
    n_positive: int
    n_patients: int
    auc: float
    auc_low: float
    auc_high: float
    auc_undefined: str
    metrics: dict[str, PatientInterval]
    points: dict[str, OperatingPoint]


@dataclass(frozen=True)
class LocaliserSummary:
    """How far a localiser's centres are from the annotated ones; intervals resample patients."""

    name: str
    flips: int
    n: int
    median_mm: PatientInterval
    hit_rate: PatientInterval
    pointing_game: PatientInterval
    spread_mm: float
    froc: list[FrocPoint]
    errors_mm: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """Everything that `evaluate` found."""

    cases: tuple[Case, ...]
    groups: tuple[ClassificationSummary, ...]
    localisers: tuple[LocaliserSummary, ...]
    site_probe: dict[str, Any]
    calibrated: bool
    phantom: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN is undefined and null in the document."""
        return {
            "stamp": "synthetic training data: not for patients" if self.phantom else "",
            "calibrated": self.calibrated,
            "cases": [dataclasses.asdict(case) for case in self.cases],
            "groups": [named_values(dataclasses.asdict(group)) for group in self.groups],
            "localisers": [named_values(dataclasses.asdict(row)) for row in self.localisers],
            "site_probe": self.site_probe,
        }


def evaluate_breasts(
    classifier: Classifier,
    breasts: Sequence[BreastInput],
    *,
    localisers: Sequence[str] = ("coam", "coam-weighted", "cam", "grad-cam"),
    flips: int = 2,
    n_resamples: int = 1000,
    batch_size: int = 4,
    quiet: bool = False,
) -> Evaluation:
    """Score breasts and locate in those with an annotated centre.

    Args:
        classifier: the model.
        breasts: labelled breasts that it was not trained on.
        localisers: names; the enhancement baseline is always added.
        flips: see `saliency.symmetrised`.
        n_resamples: of the bootstraps.
        batch_size: breasts at once.
        quiet: no progress.

    Raises:
        DataError: nothing to evaluate, or a breast without label.
    """
    if not len(breasts):
        raise DataError("nothing to evaluate: no labelled breast")
    names = [*dict.fromkeys([*localisers, BASELINE])]
    with progress(len(names) + 1, "evaluating", quiet=quiet) as bar:
        cases = score_cases(classifier, breasts, batch_size=batch_size)
        bar.update()
        marked = [i for i, breast in enumerate(breasts) if breast.center_mm is not None and breast.label]
        summaries = []
        for name in names:
            summaries.append(_localiser(classifier, breasts, cases, marked, name, flips, n_resamples, batch_size))
            bar.update()
    groups = subgroup_summaries(cases, n_resamples=n_resamples)
    probe = site_probe(classifier.embeddings(breasts, batch_size=batch_size), cases)
    return Evaluation(
        tuple(cases), tuple(groups), tuple(summaries), probe, classifier.calibrator is not None, classifier.phantom
    )


def score_cases(classifier: Classifier, breasts: Sequence[BreastInput], *, batch_size: int = 4) -> list[Case]:
    """Score and probability of every breast.

    Raises:
        DataError: a breast without label.
    """
    scores = classifier.scores(breasts, batch_size=batch_size)
    probs = classifier.probs(scores)
    return [
        Case(
            digest(f"{breast.study_id}/{breast.side}"),
            digest(breast.patient_id),
            breast.site,
            breast.side,
            require_label(breast),
            float(score),
            float(prob),
            known_facts(breast.meta),
        )
        for breast, score, prob in zip(breasts, scores, probs, strict=True)
    ]


def classification_summary(group: str, cases: Sequence[Case], *, n_resamples: int = 1000) -> ClassificationSummary:
    """All classification metrics of some cases; what one class alone leaves undefined is NaN with a reason."""
    labels, scores, probs, patients = columns(cases)
    interval = auroc_interval(labels, scores, patients)
    by_score: dict[str, Callable[..., float]] = {"auc_bootstrap": auroc, "average_precision": average_precision}
    by_prob: dict[str, Callable[..., float]] = {"brier": brier, "ece": expected_calibration_error}
    metrics = {
        name: metric_interval(metric, labels, values, patients, n_resamples=n_resamples)
        for table, values in ((by_score, scores), (by_prob, probs))
        for name, metric in table.items()
    }
    points = {
        "prob_0.5": operating_point(labels, probs, 0.5),
        "specificity_0.9": sensitivity_at_specificity(labels, scores, 0.9),
        "sensitivity_0.9": specificity_at_sensitivity(labels, scores, 0.9),
    }
    return ClassificationSummary(
        group,
        len(cases),
        int(labels.sum()),
        len(set(patients)),
        interval.auc,
        interval.low,
        interval.high,
        interval.undefined,
        metrics,
        points,
    )


def known_facts(meta: Mapping[str, Any]) -> dict[str, str]:
    """What a manifest may say of scanner and patient, as names of subgroups; ages in two bands."""
    facts = {}
    for name, spellings in FACTS.items():
        value = next((meta[key] for key in spellings if meta.get(key) not in (None, "")), None)
        if value is not None:
            facts[name] = str(value)
    try:
        facts["age"] = "below 50" if float(meta["age"]) < 50 else "50 and above"
    except (KeyError, TypeError, ValueError):
        return facts  # unknown, or a text such as "> 85"
    return facts


def subgroup_summaries(cases: Sequence[Case], *, n_resamples: int = 1000) -> list[ClassificationSummary]:
    """All cases, then each site, side, vendor, field strength, density and age band where there are several."""
    groups = [classification_summary("all", cases, n_resamples=n_resamples)]
    tables = [{"site": case.site, "side": case.side, **case.facts} for case in cases]
    for name in ("site", "side", *FACTS, "age"):
        values = sorted({table[name] for table in tables if name in table})
        for value in values if len(values) > 1 else []:
            chosen = [case for case, table in zip(cases, tables, strict=True) if table.get(name) == value]
            groups.append(classification_summary(f"{name}={value}", chosen, n_resamples=n_resamples))
    return groups


def site_probe(features: np.ndarray, cases: Sequence[Case], *, seed: int = 0) -> dict[str, Any]:
    """How well a linear classifier reads the site from the features, cross-validated by patient, against chance.

    Balanced accuracy; chance is 1 / sites. Well above chance, an AUC over pooled sites may be the sites' own.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    sites = np.array([case.site for case in cases])
    patients = np.array([case.patient for case in cases])
    names = np.unique(sites)
    per_site = [len(np.unique(patients[sites == name])) for name in names]
    chance = 1 / max(1, len(names))
    if len(names) < 2 or min(per_site) < 4:
        reason = "one site only" if len(names) < 2 else f"a site has {min(per_site)} patients, 4 are needed"
        return {"balanced_accuracy": math.nan, "chance": chance, "sites": len(names), "undefined": reason}
    splitter = StratifiedGroupKFold(min(5, *per_site), shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
    predicted = cross_val_predict(model, features, sites, groups=patients, cv=splitter)
    interval = patient_bootstrap(
        np.stack([np.searchsorted(names, sites), np.searchsorted(names, predicted)], 1),
        patients.tolist(),
        statistic=lambda rows: float(balanced_accuracy_score(rows[:, 0], rows[:, 1])),
        n_resamples=300,
        seed=seed,
    )
    return {
        "balanced_accuracy": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "chance": chance,
        "sites": len(names),
        "n_patients": interval.n_patients,
        "undefined": interval.undefined,
    }


def _localiser(
    classifier: Classifier,
    breasts: Sequence[BreastInput],
    cases: Sequence[Case],
    marked: Sequence[int],
    name: str,
    flips: int,
    n_resamples: int,
    batch_size: int,
) -> LocaliserSummary:
    locations = locate(classifier, breasts, name, flips=flips, batch_size=batch_size)
    chosen = [breasts[i] for i in marked]
    errors = center_errors([locations[i] for i in marked], chosen)
    patients = [cases[i].patient for i in marked]
    pointed = [inside_lesion(locations[i], breasts[i]) for i in marked]
    known = [k for k, inside in enumerate(pointed) if inside is not None]
    marks = [
        _marks(location, breast, case) for location, breast, case in zip(locations, breasts, cases, strict=True)
    ]

    def interval(values: Any, ids: Sequence[str], statistic: Callable[..., Any] = np.mean) -> PatientInterval:
        return patient_bootstrap(values, ids, statistic=statistic, n_resamples=n_resamples)

    return LocaliserSummary(
        name,
        flips,
        len(marked),
        interval(errors, patients, np.median),
        interval(errors <= HIT_MM, patients),
        interval([bool(pointed[k]) for k in known], [patients[k] for k in known]),
        float(np.median([locations[i].spread_mm for i in marked])) if marked else math.nan,
        froc(marks, [case.patient for case in cases], n_resamples=min(300, n_resamples)),
        {cases[i].key: float(e) for i, e in zip(marked, errors, strict=True)},
    )


def _marks(location: Location, breast: BreastInput, case: Case) -> Marks:
    """Candidates scored by probability times relative height, since map heights of two breasts do not compare."""
    peaks = location.candidates()
    top = max((p.score for p in peaks), default=0.0)
    scores = tuple(case.prob * (p.score / top if top > 0 else 0.0) for p in peaks)
    center = breast.center_mm if breast.label else None
    hits = tuple(center is not None and distance_mm(p.center_mm, center) <= HIT_MM for p in peaks)
    return Marks(scores, hits, center is not None)


def write_evaluation(evaluation: Evaluation, directory: Path) -> Path:
    """Write `evaluation.json`, which `compare` reads.

    Raises:
        ResourceError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / EVALUATION_FILE
    atomic_write(path, to_json(evaluation.to_json(), indent=1) + "\n")
    return path


def named_values(value: Any) -> Any:
    """Named tuples as mappings: a JSON list of bare numbers would need a legend."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: named_values(item) for key, item in value._asdict().items()}
    if isinstance(value, dict):
        return {key: named_values(item) for key, item in value.items()}
    return [named_values(item) for item in value] if isinstance(value, list | tuple) else value
