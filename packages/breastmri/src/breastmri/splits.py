"""Who is trained on and who is tested: always whole patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._shared.errors import ConfigError, DataError

Facts = Sequence[Mapping[str, Any]]


class Split(NamedTuple):
    """Numbers of breasts on each side, and what the held-out side is called."""

    name: str
    train: list[int]
    held_out: list[int]


def training_split(facts: Facts, fraction: float, seed: int) -> Split:
    """Training and validation breasts; breasts of a split "test" are in neither.

    The data set's own splits are used where it has "val"; else patients are drawn, stratified by label.

    Args:
        facts: per breast patient_id, label and split.
        fraction: of the patients, for validation.
        seed: of the draw.

    Raises:
        DataError: a patient is in two splits, or there are too few patients of a class.
    """
    _refuse_leaks(facts)
    usable = [i for i, fact in enumerate(facts) if fact["split"] != "test"]
    held = [i for i in usable if facts[i]["split"] == "val"]
    if held:
        return Split("given", [i for i in usable if facts[i]["split"] != "val"], held)
    first = stratified_folds([facts[i] for i in usable], max(2, round(1 / fraction)), seed)[0]
    return Split("drawn", [usable[i] for i in first.train], [usable[i] for i in first.held_out])


def stratified_folds(facts: Facts, count: int, seed: int) -> list[Split]:
    """Folds of whole patients with alike shares of positives (scikit-learn's StratifiedGroupKFold).

    Raises:
        DataError: fewer patients of a class than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    labels = np.array([int(fact["label"]) for fact in facts])
    patients = np.array([str(fact["patient_id"]) for fact in facts])
    for label, name in ((0, "without"), (1, "with")):
        found = len(np.unique(patients[labels == label]))
        if found < count:
            raise DataError(
                f"expected at least {count} patients {name} a malignant breast for {count} folds, got {found}"
            )
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    pairs = splitter.split(labels[:, None], labels, patients)
    return [Split(f"fold {k}", train.tolist(), held.tolist()) for k, (train, held) in enumerate(pairs)]


def given_folds(facts: Facts) -> list[Split]:
    """The data set's own folds.

    Raises:
        DataError: a breast without fold, or a patient in two of them.
    """
    folds = [fact["fold"] for fact in facts]
    if any(fold is None for fold in folds):
        raise DataError(f"expected a fold for every breast, {folds.count(None)} of {len(folds)} have none")
    _refuse_leaks([{**fact, "split": f"fold {fact['fold']}"} for fact in facts])
    return [_held(facts, "fold", fold, f"fold {fold}") for fold in sorted(set(folds))]


def site_folds(facts: Facts) -> list[Split]:
    """Leave one site out.

    Raises:
        DataError: only one site.
    """
    sites = sorted({str(fact["site"]) for fact in facts})
    if len(sites) < 2:
        raise DataError(f"expected at least 2 sites to leave one out, got {len(sites)}")
    return [_held(facts, "site", site, f"site {site}") for site in sites]


def make_folds(facts: Facts, by: str, count: int, seed: int) -> list[Split]:
    """Folds by "patients" (drawn), "folds" (given) or "site".

    Raises:
        ConfigError: another choice.
        DataError: see the function of each choice.
    """
    if by == "patients":
        return stratified_folds(facts, count, seed)
    if by == "folds":
        return given_folds(facts)
    if by == "site":
        return site_folds(facts)
    raise ConfigError(f"expected folds by patients, folds or site, got {by!r}")


def _held(facts: Facts, field: str, value: Any, name: str) -> Split:
    held = [i for i, fact in enumerate(facts) if fact[field] == value]
    patients = {facts[i]["patient_id"] for i in held}
    # a patient seen at two sites is trained on at neither
    train = [i for i, fact in enumerate(facts) if fact[field] != value and fact["patient_id"] not in patients]
    return Split(name, train, held)


def _refuse_leaks(facts: Facts) -> None:
    seen: dict[str, set[str]] = {}
    for fact in facts:
        seen.setdefault(str(fact["patient_id"]), set()).add(str(fact["split"]))
    leaks = sum(len(splits) > 1 for splits in seen.values())
    if leaks:
        raise DataError(
            f"expected every patient in one split, {leaks} of {len(seen)} are in several: correct the manifest"
        )
