"""Linear probes of frozen features: label fractions and few shots, over seeds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from ._shared.errors import ConfigError, DataError
from ._shared.metrics.classification import auroc
from ._shared.order import generator
from .data.pairs import ABSENT, PRESENT, PairDataset
from .data.splits import fraction_of
from .encoders import Encoder
from .features import embed_films

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)  # inverse penalties C, chosen on the validation side
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ProbeScore:
    """Macro AUROC on the test side for one amount of labels.

    Attributes:
        labels: such as "1 %" or "8 shots".
        value, low, high: mean over seeds with its 95 % t interval; the interval is NaN for a single seed.
        seeds: how often labels were drawn.
        n_train: labelled films of the first draw.
        n_test: films of the test side.
        findings: finding to mean AUROC.
        undefined: draws and findings that had one class only, which were left out.
    """

    labels: str
    value: float
    low: float
    high: float
    seeds: int
    n_train: int
    n_test: int
    findings: dict[str, float]
    undefined: int

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def probe(
    encoder: Encoder,
    dataset: PairDataset,
    *,
    names: Sequence[str] | None = None,
    fractions: Sequence[float] = (0.01, 0.1, 1.0),
    shots: Sequence[int] = (),
    seeds: int = 5,
    quiet: bool = True,
) -> list[ProbeScore]:
    """Fit one logistic regression per finding on frozen features of the training side and score the test side.

    Penalties are chosen on the validation side. Features are standardised with the mean and deviation of the labelled
    films. Where all labels are used nothing is drawn, and one fit suffices.

    Args:
        encoder: the model.
        dataset: labelled films with three sides.
        names: findings; default: all.
        fractions: shares of the training films.
        shots: numbers of positive and of negative films per finding; one with fewer of either is undefined.
        seeds: draws of each share or shot.
        quiet: no progress.

    Raises:
        DataError: no labels, or a side is missing.
        ConfigError: a share that is none.
    """
    chosen = tuple(names or dataset.label_names)
    if not chosen:
        raise DataError(f"{dataset.name}: no labels to probe")
    if wrong := [f for f in fractions if not 0 < f <= 1]:
        raise ConfigError(f"fraction: expected more than 0 and at most 1, got {wrong[0]:g}")
    sides = {side: dataset.side(side) for side in ("train", "validation", "test")}
    features = {side: _features(embed_films(encoder, part.pairs, quiet=quiet)) for side, part in sides.items()}
    labels = {side: part.label_matrix(chosen) for side, part in sides.items()}
    results = []
    for fraction in fractions:
        draws = 1 if fraction >= 1 else seeds
        drawn = [[fraction_of(list(range(len(sides["train"]))), fraction, s)] * len(chosen) for s in range(draws)]
        results.append(_score(f"{100 * fraction:g} %", drawn, features, labels, chosen))
    for count in shots:
        drawn = [[_shots(labels["train"][:, c], count, s, c) for c in range(len(chosen))] for s in range(seeds)]
        results.append(_score(f"{count} shots", drawn, features, labels, chosen))
    return results


def fit_logistic(features: Floats, labels: NDArray[np.bool_], strength: float) -> tuple[Floats, float]:
    """Weights (D,) and bias of an L2-penalised logistic regression, classes balanced.

    Args:
        features: (n, D).
        labels: (n,) with both classes.
        strength: inverse penalty C.
    """
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on not converging: the validation side chooses among the results
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=300).fit(features, labels)
    return model.coef_[0].astype(np.float64), float(model.intercept_[0])


def _score(
    name: str,
    drawn: list[list[list[int]]],
    features: dict[str, Floats],
    labels: dict[str, Floats],
    findings: Sequence[str],
) -> ProbeScore:
    table = np.full((len(drawn), len(findings)), nan)
    for seed, places in enumerate(drawn):
        for column, chosen in enumerate(places):
            table[seed, column] = _one(chosen, column, features, labels)
    undefined = int(np.isnan(table).sum())
    per_seed = [float(np.nanmean(row)) for row in table if not np.isnan(row).all()]
    value, low, high = seed_interval(per_seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any defined draw stays NaN
        means = np.nanmean(table, axis=0)
    by_finding = {f: float(v) for f, v in zip(findings, means, strict=True)}
    train = len({i for places in drawn[0] for i in places})
    return ProbeScore(name, value, low, high, len(drawn), train, len(features["test"]), by_finding, undefined)


def seed_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % t interval over seeds; NaN bounds for fewer than two.

    Example:
        >>> [round(v, 3) for v in seed_interval([0.7, 0.8, 0.9])]
        [0.8, 0.552, 1.048]
    """
    if not len(values):
        return nan, nan, nan
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, nan, nan
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / sqrt(len(values))
    return mean, mean - half, mean + half


def _one(chosen: list[int], column: int, features: dict[str, Floats], labels: dict[str, Floats]) -> float:
    """Test AUROC of one finding after one draw; NaN where a side lacks a class."""
    known = {side: np.isin(labels[side][:, column], (PRESENT, ABSENT)) for side in labels}
    rows = [i for i in chosen if known["train"][i]]
    target = labels["train"][rows, column] == PRESENT
    if target.all() or not target.any():
        return nan
    train = features["train"][rows]
    mean, scale = train.mean(0), train.std(0)
    scale = np.where(scale > 1e-8, scale, 1.0)
    best, chosen_weights = -np.inf, None
    for strength in STRENGTHS:
        weights = fit_logistic((train - mean) / scale, target, strength)
        value = _auroc("validation", weights, (mean, scale), column, features, labels, known)
        if (0.5 if value != value else value) > best:
            best, chosen_weights = (0.5 if value != value else value), weights
    if chosen_weights is None:
        return nan
    return _auroc("test", chosen_weights, (mean, scale), column, features, labels, known)


def _auroc(
    side: str,
    weights: tuple[Floats, float],
    scaling: tuple[Floats, Floats],
    column: int,
    features: dict[str, Floats],
    labels: dict[str, Floats],
    known: dict[str, NDArray[np.bool_]],
) -> float:
    rows = known[side]
    scores = ((features[side][rows] - scaling[0]) / scaling[1]) @ weights[0] + weights[1]
    return auroc(labels[side][rows, column], scores) if rows.any() else nan


def _shots(labels: Floats, count: int, seed: int, column: int) -> list[int]:
    """Places of `count` films that show a finding and as many that do not; none (undefined) where there are fewer."""
    rng = generator(seed, "shots", column)
    places: list[int] = []
    for value in (PRESENT, ABSENT):
        found = np.flatnonzero(labels == value)
        if len(found) < count:
            return []
        places += [int(i) for i in rng.permutation(found)[:count]]
    return places


def _features(vectors: Tensor) -> Floats:
    return vectors.double().numpy()
