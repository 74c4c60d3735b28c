"""Results breast by breast, without identifiers: what `evaluate` writes and `compare` reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ._shared.errors import DataError
from ._shared.metrics.delong import DelongTest, delong_test

EVALUATION_FILE = "evaluation.json"


@dataclass(frozen=True)
class Case:
    """Result of one breast; `key` and `patient` are digests, so that no identifier leaves the data."""

    key: str
    patient: str
    site: str
    side: str
    label: int
    score: float
    prob: float
    facts: dict[str, str] = field(default_factory=dict)


def digest(identifier: str) -> str:
    """Short SHA-256 of an identifier: the same in every run, so that runs can be compared case by case."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:16]


def columns(cases: Sequence[Case]) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Labels, scores, probabilities and patients."""
    labels = np.array([case.label for case in cases], int)
    scores = np.array([case.score for case in cases], float)
    probs = np.array([case.prob for case in cases], float)
    return labels, scores, probs, [case.patient for case in cases]


def compare_evaluations(a: Sequence[Case], b: Sequence[Case]) -> DelongTest:
    """Paired, patient-clustered DeLong test of two runs on the same breasts.

    Raises:
        DataError: the runs were evaluated on other breasts, or with other labels.
    """
    first, second = ({case.key: case for case in cases} for cases in (a, b))
    if first.keys() != second.keys():
        common = len(first.keys() & second.keys())
        raise DataError(
            f"expected the same breasts in both evaluations, got {len(first)} and {len(second)} of which {common} are "
            "common: evaluate both models on one data set"
        )
    keys = sorted(first)
    if any(first[key].label != second[key].label for key in keys):
        raise DataError("the two evaluations hold other labels for the same breast: evaluate again")
    labels = [first[key].label for key in keys]
    patients = [first[key].patient for key in keys]
    return delong_test(labels, [first[k].score for k in keys], [second[k].score for k in keys], patients)


def comparison_text(test: DelongTest) -> str:
    """What `compare` prints."""
    if test.undefined:
        return f"AUC {test.auc_a:.4f} and {test.auc_b:.4f}: no test ({test.undefined}, n = {test.n_patients} patients)"
    return (
        f"AUC A {test.auc_a:.4f}, B {test.auc_b:.4f}; "
        f"A - B {test.difference:+.4f} ({test.low:+.4f} to {test.high:+.4f}), "
        f"Z {test.z:.3f}, p {test.p_value:.3g}, n = {test.n_patients} patients"
    )


def read_cases(path: Path) -> list[Case]:
    """Cases of an `evaluation.json`, or of the folder that holds one.

    Raises:
        DataError: missing, or not written by `evaluate`.
    """
    file = path / EVALUATION_FILE if path.is_dir() else path
    try:
        return [Case(**case) for case in json.loads(file.read_text(encoding="utf-8"))["cases"]]
    except OSError as err:
        raise DataError(f"{file.name}: cannot be read ({err.strerror}); run breastmri evaluate first") from err
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(f"{file.name}: not an evaluation of breastmri; run breastmri evaluate again") from err
