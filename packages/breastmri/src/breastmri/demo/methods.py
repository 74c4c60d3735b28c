"""Both losses on the same phantoms for the same steps, and what each localiser makes of the trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .._shared.config import load_config
from .._shared.metrics.delong import AurocInterval, DelongTest, auroc_interval, delong_test
from .._shared.metrics.statistics import PatientInterval, patient_bootstrap
from ..classifier import Classifier, load_classifier
from ..config import Config
from ..localize import available_localisers, center_errors, locate
from ..phantom import PhantomConfig, make_phantom
from ..preprocess import BreastInput, Preprocessing, breast_inputs
from ..recipes import recipe_path
from ..task import require_label
from ..train import train_breasts

RECIPES = {"BCE": "claims-bce", "CMSL": "claims-cmsl-embed"}
STEPS_PER_MINUTE = 100  # of each network: both always take equally many, however busy the machine is
TRAIN, TEST = 240, 120
SLOW = ("occlusion", "integrated-gradients")  # tens of passes each: a few cancers only, n says so
SLOW_CASES = 10


@dataclass(frozen=True, eq=False)
class Method:
    """One trained network on the test breasts.

    Attributes:
        name: of its loss.
        classifier: the network.
        steps: optimiser steps.
        auc: with the DeLong interval.
        scores: (n,) of the test breasts.
        errors: localiser -> median distance of its centre, mm, with a bootstrap interval over patients.
    """

    name: str
    classifier: Classifier
    steps: int
    auc: AurocInterval
    scores: np.ndarray
    errors: dict[str, PatientInterval]


def demo_breasts(count: int, seed: int, plan: Preprocessing) -> list[BreastInput]:
    """One breast per phantom, left and right in turn, cropped without the phantom's own mask."""
    breasts: list[BreastInput] = []
    for index in range(count):
        config = PhantomConfig(size=(32, 40, 12), breasts="left" if index % 2 else "right")
        study = make_phantom(index, seed=seed, config=config).study
        breasts += breast_inputs(replace(study, breast_mask=None), plan)
    return breasts


def demo_config(name: str, *, max_minutes: float, seed: int) -> Config:
    """The recipe of a loss; minutes buy steps."""
    steps = max(5, round(STEPS_PER_MINUTE * max_minutes))
    flags = {
        "data.root": "phantoms",
        "train.seed": seed,
        "train.max_steps": steps,
        "train.warmup_steps": min(20, steps // 5),
    }
    return load_config(Config, recipe_path(RECIPES[name]), flags=flags)


def train_method(
    name: str,
    config: Config,
    train: Sequence[BreastInput],
    test: Sequence[BreastInput],
    run_dir: Path,
    *,
    device: str,
    resume: bool,
    quiet: bool,
) -> Method:
    """Train with one loss, or go on, and test it."""
    fitted = train_breasts(config, train, [], run_dir, phantom=True, device=device, resume=resume, quiet=quiet)
    classifier = load_classifier(fitted.last_path, device=device)
    labels = [require_label(breast) for breast in test]
    scores = classifier.scores(test, batch_size=16)
    auc = auroc_interval(labels, scores, [breast.patient_id for breast in test])
    return Method(name, classifier, fitted.step, auc, scores, _errors(classifier, test))


def compare(a: Method, b: Method, test: Sequence[BreastInput]) -> DelongTest:
    """Paired DeLong test of two methods on the same breasts."""
    labels = [require_label(breast) for breast in test]
    return delong_test(labels, a.scores, b.scores, [breast.patient_id for breast in test])


def _errors(classifier: Classifier, test: Sequence[BreastInput]) -> dict[str, PatientInterval]:
    cancers = [breast for breast in test if breast.label and breast.center_mm is not None]
    found = {}
    for name in available_localisers(classifier):
        chosen = cancers[:SLOW_CASES] if name in SLOW else cancers
        errors = center_errors(locate(classifier, chosen, name, flips=2, batch_size=16), chosen)
        patients = [breast.patient_id for breast in chosen]
        found[name] = patient_bootstrap(
            errors, patients, statistic=lambda v: float(np.median(v)), n_resamples=1000
        )
    return found
