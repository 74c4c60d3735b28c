"""Zero-shot classification: which of two ensembles of sentences, for or against a finding, is nearer to the film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Literal

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ._shared.errors import DataError
from ._shared.metrics.classification import auroc
from ._shared.metrics.delong import auroc_interval
from ._shared.metrics.statistics import patient_bootstrap
from .data.pairs import ABSENT, PRESENT, PairDataset
from .encoders import Encoder
from .features import embed_films
from .prompts import Prompts, default_prompts

Mode = Literal["contrast", "positive"]


@dataclass(frozen=True)
class FindingScore:
    """Zero-shot result of one finding, over the films that state or deny it.

    Attributes:
        name: the finding.
        n: films that count; n_present of them show it.
        auroc, low, high: with the DeLong interval by patients; NaN where undefined, `undefined` says why.
        polarity: balanced accuracy at score 0: is the stating sentence nearer where the finding is there, and the
            denying one where it is not? 0.5 for a model that ignores negation. NaN without negative prompts.
        negation_gap: 1 - cosine of the two ensembles: 0 for a text tower to which "no effusion" is "effusion".
    """

    name: str
    n: int
    n_present: int
    auroc: float
    low: float
    high: float
    undefined: str
    polarity: float
    negation_gap: float


@dataclass(frozen=True)
class ZeroShot:
    """Results of all findings, their mean, and the scores behind them.

    Attributes:
        findings: one entry per finding.
        macro: mean AUROC over the findings where it is defined, with its patient bootstrap interval.
        scores: (n, C) for films and findings.
    """

    findings: tuple[FindingScore, ...]
    macro: tuple[float, float, float]
    scores: NDArray[np.float64]
    n_patients: int

    def to_json(self) -> dict[str, Any]:
        """The result without the scores."""
        return {
            "macro_auroc": dict(zip(("value", "low", "high"), self.macro, strict=True)),
            "n_patients": self.n_patients,
            "findings": [vars(f) for f in self.findings],
        }


def prompt_vectors(encoder: Encoder, prompts: Prompts) -> tuple[Tensor, Tensor | None]:
    """Unit mean (D,) of the stating and of the denying sentences; each sentence counts equally."""
    means = [
        F.normalize(encoder.encode_text(list(group)).pooled.mean(0), dim=0).cpu() if group else None
        for group in (prompts.positive, prompts.negative)
    ]
    if means[0] is None:
        raise DataError("a finding without a positive sentence; give at least one")
    return means[0], means[1]


def zero_shot_scores(films: Tensor, positive: Tensor, negative: Tensor | None, mode: Mode = "contrast") -> Tensor:
    """cos(film, for) - cos(film, against), or cos(film, for) alone.

    Args:
        films: (n, D) unit vectors.
        positive: (D,) unit vector of the stating sentences.
        negative: (D,) unit vector of the denying ones, or None.
        mode: "contrast" is aware of negation; "positive" is not.

    Example:
        >>> import torch
        >>> zero_shot_scores(torch.eye(2), torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])).tolist()
        [1.0, -1.0]
    """
    scores = films @ positive
    return scores - films @ negative if mode == "contrast" and negative is not None else scores


def zero_shot(
    encoder: Encoder,
    dataset: PairDataset,
    *,
    names: Sequence[str] | None = None,
    prompts: Mapping[str, Prompts] | None = None,
    mode: Mode = "contrast",
    films: Tensor | None = None,
    quiet: bool = True,
) -> ZeroShot:
    """Score every film for every finding; films that neither state nor deny a finding do not count for it.

    Args:
        encoder: the model.
        dataset: films with labels; uncertain ones are left out.
        names: findings; default: all of the data set.
        prompts: finding to sentences; default: `default_prompts`.
        mode: see `zero_shot_scores`.
        films: (n, D) their vectors, if they are there already.
        quiet: no progress.

    Raises:
        DataError: no such label or no prompts for it; a film cannot be read.
    """
    chosen = tuple(names or dataset.label_names)
    unknown = [name for name in chosen if name not in dataset.label_names]
    if unknown or not chosen:
        found = ", ".join(dataset.label_names) or "none"
        raise DataError(f"{dataset.name}: no label {', '.join(unknown) or 'at all'}; the data set has {found}")
    ensembles = default_prompts(chosen) | dict(prompts or {})
    vectors = embed_films(encoder, dataset.pairs, quiet=quiet) if films is None else films
    labels = dataset.label_matrix(chosen)
    patients = [pair.patient_id for pair in dataset]
    scores, findings = np.empty(labels.shape), []
    for column, name in enumerate(chosen):
        positive, negative = prompt_vectors(encoder, ensembles[name])
        scores[:, column] = zero_shot_scores(vectors, positive, negative, mode).double().numpy()
        gap = nan if negative is None else 1 - float(positive @ negative)
        findings.append(_finding(name, labels[:, column], scores[:, column], patients, gap, mode))
    return ZeroShot(tuple(findings), macro_auroc(labels, scores, patients), scores, len(set(patients)))


def macro_auroc(
    labels: NDArray[np.float64], scores: NDArray[np.float64], patients: Sequence[str], *, resamples: int = 500
) -> tuple[float, float, float]:
    """Mean AUROC over findings with its patient bootstrap interval; NaN where no finding has both classes.

    Args:
        labels: (n, C) 1, 0, or anything else for what does not count.
        scores: (n, C).
        patients: (n,).
        resamples: of the bootstrap.
    """
    interval = patient_bootstrap(
        np.stack([labels, scores], axis=1),
        list(patients),
        statistic=lambda rows: macro_auroc_of(rows[:, 0], rows[:, 1]),
        n_resamples=resamples,
        drop_undefined=True,
    )
    return interval.estimate, interval.low, interval.high


def macro_auroc_of(labels: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """Mean AUROC over the findings that have both classes; arguments as in `macro_auroc`."""
    values = [_auroc(labels[:, c], scores[:, c]) for c in range(labels.shape[1])]
    defined = [value for value in values if value == value]
    return float(np.mean(defined)) if defined else nan


def _auroc(labels: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    counts = (labels == PRESENT) | (labels == ABSENT)
    return auroc(labels[counts], scores[counts]) if counts.any() else nan


def _finding(
    name: str,
    labels: NDArray[np.float64],
    scores: NDArray[np.float64],
    patients: list[str],
    gap: float,
    mode: Mode,
) -> FindingScore:
    counts = (labels == PRESENT) | (labels == ABSENT)
    kept, values = labels[counts], scores[counts]
    interval = auroc_interval(kept, values, [p for p, c in zip(patients, counts, strict=True) if c])
    polarity = nan
    if mode == "contrast" and gap == gap and 0 < kept.sum() < len(kept):
        polarity = float(((values[kept == 1] > 0).mean() + (values[kept == 0] < 0).mean()) / 2)
    return FindingScore(
        name,
        len(kept),
        int(kept.sum()),
        interval.auc,
        interval.low,
        interval.high,
        interval.undefined,
        polarity,
        gap,
    )
