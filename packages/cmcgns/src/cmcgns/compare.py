"""Two evaluations of the same samples, compared pair by pair."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ._shared.errors import DataError
from ._shared.metrics.delong import delong_test
from ._shared.metrics.statistics import holm, paired_permutation_test
from .data.pairs import ABSENT, PRESENT, PairDataset
from .data.sources import read_json
from .evaluate import METRICS, SCORES, data_key
from .sentences import split_sentences


@dataclass(frozen=True)
class Difference:
    """One measure of both models.

    Attributes:
        measure: its name.
        a, b: values of the two.
        difference: a - b.
        p_value: two-sided, paired; DeLong for AUROC, sign flips by patients for the others.
        p_holm: the same, adjusted for all measures of the comparison.
        n: samples or sentences.
    """

    measure: str
    a: float
    b: float
    difference: float
    p_value: float
    p_holm: float
    n: int


def compare(
    first: Path, second: Path, dataset: PairDataset, *, k: int = 10, side: str = "test"
) -> list[Difference]:
    """Compare two folders of `cmcgns evaluate`; measures that only one of them has are left out.

    Args:
        first: folder of model a.
        second: folder of model b.
        dataset: the data set of both, for labels and patients.
        k: of recall.
        side: the side of both.

    Raises:
        DataError: a folder is no evaluation, or the two are not of this side of this data set.
    """
    part = dataset.side(side)  # type: ignore[arg-type]  # refused there with the sides that exist
    key = data_key(part)
    scores = [_scores(folder, key) for folder in (first, second)]
    patients = [pair.patient_id for pair in part]
    rows: list[tuple[str, float, float, float, int]] = []
    if all("zero_shot" in s for s in scores):
        labels = part.label_matrix()
        for column, name in enumerate(part.label_names):
            a, b = (s["zero_shot"][:, column] for s in scores)
            rows.append(_auroc(name, labels[:, column], a, b, patients))
    with_report = [pair.patient_id for pair in part if split_sentences(pair.report)]
    for direction in ("image-to-report", "report-to-image"):
        if all(f"rank.{direction}" in s for s in scores):
            hits = [(s[f"rank.{direction}"] <= k).astype(float) for s in scores]
            rows.append(_paired(f"recall@{k} {direction}", hits[0], hits[1], with_report))
    if all("pointing" in s for s in scores) and len(scores[0]["pointing"]) == len(scores[1]["pointing"]):
        owners = [p.patient_id for p in part for _ in dict.fromkeys(r.sentence or r.label for r in p.regions)]
        if len(owners) == len(scores[0]["pointing"]):
            rows.append(_paired("pointing game", scores[0]["pointing"], scores[1]["pointing"], owners))
    adjusted = holm([row[3] for row in rows]).tolist() if rows else []
    return [
        Difference(name, a, b, a - b, p, float(h), n) for (name, a, b, p, n), h in zip(rows, adjusted, strict=True)
    ]


def comparison_json(rows: list[Difference], first: Path, second: Path) -> dict[str, Any]:
    """The comparison as JSON values."""
    return {"a": first.name, "b": second.name, "measures": [asdict(row) for row in rows]}


def comparison_text(rows: list[Difference]) -> str:
    """The comparison for people."""
    lines = [f"{'measure':32} {'a':>8} {'b':>8} {'a - b':>8} {'p':>8} {'p Holm':>8} {'n':>6}"]
    for r in rows:
        numbers = "".join(f" {v:8.3f}" for v in (r.a, r.b, r.difference, r.p_value, r.p_holm))
        lines.append(f"{r.measure[:32]:32}{numbers} {r.n:6}")
    return "\n".join(lines)


def _scores(folder: Path, key: str) -> dict[str, NDArray[Any]]:
    if not (folder / METRICS).is_file():
        raise DataError(f"{folder.name}: no {METRICS} there; give the --run-dir of `cmcgns evaluate`")
    notes = read_json(folder / METRICS)
    if not isinstance(notes, dict) or notes.get("data_key") != key:
        raise DataError(
            f"{folder.name}: was made from other samples; evaluate both models on the same side of one set"
        )
    try:
        return load_file(folder / SCORES)
    except (OSError, SafetensorError) as err:
        raise DataError(f"{folder.name}/{SCORES}: missing or damaged; run `cmcgns evaluate` again") from err


def _auroc(
    name: str, labels: NDArray[np.float64], a: NDArray[Any], b: NDArray[Any], patients: list[str]
) -> tuple[str, float, float, float, int]:
    counts = (labels == PRESENT) | (labels == ABSENT)
    owners = [p for p, c in zip(patients, counts, strict=True) if c]
    test = delong_test(labels[counts], a[counts], b[counts], owners)
    return f"AUROC {name}", test.auc_a, test.auc_b, test.p_value, int(counts.sum())


def _paired(
    name: str, a: NDArray[Any], b: NDArray[Any], patients: list[str]
) -> tuple[str, float, float, float, int]:
    test = paired_permutation_test(a, b, patients)
    return name, float(np.nanmean(a)), float(np.nanmean(b)), test.p_value, len(a)
