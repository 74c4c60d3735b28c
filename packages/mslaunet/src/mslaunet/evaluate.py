"""Masks against references: metrics in native space, with the policy for empty masks named."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._shared.errors import DataError
from ._shared.io.volumes import read_labels, require_same_grid
from ._shared.logs import get_logger, progress
from ._shared.metrics.segmentation import ClassScores, EmptyPolicy, Summary, evaluate_case, summarise
from ._shared.metrics.transunet import evaluate_case_transunet
from .data.dataset import image_files, is_volume, split_suffix
from .data.loading import read_label_image
from .data.nnunet import read_classes
from .data.patients import read_patients, require_listed

log = get_logger(__name__)


@dataclass(frozen=True)
class MaskPair:
    """Predicted and reference label ids on one grid; `spacing_mm` is None for images of unknown scale."""

    case_id: str
    predicted: np.ndarray
    reference: np.ndarray
    spacing_mm: tuple[float, ...] | None


@dataclass(frozen=True)
class Evaluation:
    """Scores of every case and class, and their means; `transunet` holds the means under that convention."""

    rows: tuple[ClassScores, ...]
    summary: tuple[Summary, ...]
    transunet: tuple[Summary, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values; an undefined score is NaN here and null in the JSON document."""
        return {
            "policy": self.rows[0].policy,
            "cases": [dataclasses.asdict(row) for row in self.rows],
            "summary": [dataclasses.asdict(row) for row in self.summary],
            "transunet": [dataclasses.asdict(row) for row in self.transunet],
        }


def evaluate_pairs(
    pairs: Iterable[MaskPair],
    classes: Mapping[int, str],
    *,
    empty: EmptyPolicy = "undefined",
    patient_ids: Mapping[str, str] | None = None,
) -> Evaluation:
    """Score pairs of masks; one pair is in memory at a time.

    Args:
        pairs: masks on one grid each.
        classes: label id to name; background (0) is not scored.
        empty: policy for distances to an empty mask, see `_shared.metrics.segmentation`.
        patient_ids: case id to the unit of the bootstrap; the case itself by default.

    Raises:
        DataError: a label id outside the classes, or nothing to score.
    """
    scored = {label: name for label, name in classes.items() if label > 0}
    rows: list[ClassScores] = []
    transunet: list[ClassScores] = []
    for pair in pairs:
        patient_id = (patient_ids or {}).get(pair.case_id)
        rows += evaluate_case(
            pair.predicted,
            pair.reference,
            case_id=pair.case_id,
            classes=scored,
            spacing_mm=pair.spacing_mm,
            patient_id=patient_id,
            empty=empty,
        )
        transunet += evaluate_case_transunet(
            pair.predicted, pair.reference, case_id=pair.case_id, classes=scored, patient_id=patient_id
        )
    if not rows:
        raise DataError("nothing to evaluate: no pair of masks")
    return Evaluation(tuple(rows), tuple(summarise(rows)), tuple(summarise(transunet)))


def evaluate_folders(
    references: Path,
    predictions: Path,
    *,
    classes: Mapping[int, str] | None = None,
    empty: EmptyPolicy = "undefined",
    quiet: bool = False,
) -> Evaluation:
    """Score every reference mask against the prediction of the same name.

    Intervals resample the patients of a `patients.csv` beside the reference folder; without one, the cases.

    Args:
        references: folder of masks.
        predictions: folder of masks with the same names (the suffix may differ).
        classes: label id to name; by default those of a `dataset.json` beside the folder, or the ids found.
        empty: policy for distances to an empty mask.
        quiet: no progress.

    Raises:
        DataError: a mask is missing, unreadable or on another grid, or `patients.csv` does not list every case.
            A prediction without reference is warned of.
    """
    paths = _pair_paths(references, predictions)
    patients = read_patients(references.resolve().parent)
    if patients is not None:
        require_listed({name for name, _, _ in paths}, patients)
    classes = classes or _classes_beside(references) or _classes_found(paths)
    with progress(len(paths), "evaluating", quiet=quiet) as bar:

        def pairs() -> Iterable[MaskPair]:
            for name, reference, prediction in paths:
                yield _load_pair(name, reference, prediction)
                bar.update()

        return evaluate_pairs(pairs(), classes, empty=empty, patient_ids=patients)


def _pair_paths(references: Path, predictions: Path) -> list[tuple[str, Path, Path]]:
    predicted = {split_suffix(p)[0]: p for p in image_files(predictions)}
    expected = {split_suffix(p)[0]: p for p in image_files(references)}
    missing = sorted(expected.keys() - predicted.keys())
    if missing:
        raise DataError(
            f"{predictions.name}/{missing[0]}: no prediction of that name; {len(missing)} of {len(expected)} are "
            "missing, and leaving them out would change the mean: predict them first"
        )
    if extra := len(predicted.keys() - expected.keys()):
        log.warning(
            "%d predictions have no reference of that name and are not scored; are the folders swapped?", extra
        )
    return [(name, path, predicted[name]) for name, path in sorted(expected.items())]


def _load_pair(name: str, reference: Path, prediction: Path) -> MaskPair:
    if is_volume(reference) != is_volume(prediction):
        raise DataError(f"{prediction.name}: a volume and a 2-D image cannot be compared")
    if not is_volume(reference):
        predicted, expected = read_label_image(prediction), read_label_image(reference)
        if predicted.shape != expected.shape:
            raise DataError(f"{prediction.name}: size {predicted.shape}, the reference has {expected.shape}")
        return MaskPair(name, predicted, expected, None)
    predicted_volume, reference_volume = read_labels(prediction), read_labels(reference)
    require_same_grid(reference_volume, predicted_volume)
    spacing = tuple(float(v) for v in reference_volume.spacing_mm)
    return MaskPair(name, predicted_volume.array, reference_volume.array, spacing)


def _classes_beside(references: Path) -> dict[int, str] | None:
    beside = references.resolve().parent
    return read_classes(beside / "dataset.json") if (beside / "dataset.json").is_file() else None


def _classes_found(paths: Sequence[tuple[str, Path, Path]]) -> dict[int, str]:
    found: set[int] = set()
    for name, reference, prediction in paths:
        pair = _load_pair(name, reference, prediction)
        found.update(int(v) for v in np.union1d(pair.predicted, pair.reference))
    if not found - {0}:
        raise DataError("all masks are empty: no class to score")
    return {label: f"label_{label}" for label in sorted(found)}


def summary_table(evaluation: Evaluation, metrics: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table: a class per row; mean, interval and n per metric."""
    classes = list(dict.fromkeys(row.name for row in evaluation.summary))
    by_key = {(row.name, row.metric): row for row in evaluation.summary}
    header = ["class", *(column for metric in metrics for column in (metric, "95 % interval", "n"))]
    return header, [
        [name, *(cell for metric in metrics for cell in summary_cells(by_key[name, metric]))] for name in classes
    ]


def summary_cells(row: Summary) -> tuple[str, str, str]:
    """Mean, interval and n of a summary as text; undefined values say so and why."""
    reasons = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in row.undefined.items())
    n = f"{row.n}" + (f" (+ {reasons})" if reasons else "")
    if math.isnan(row.mean):
        return "undefined", "undefined", n
    interval = f"undefined: {row.no_interval}" if row.no_interval else f"{row.low:.3f} to {row.high:.3f}"
    return f"{row.mean:.3f}", interval, n


def class_mean(evaluation: Evaluation, metric: str) -> Summary:
    """The mean over classes of one metric."""
    return next(row for row in evaluation.summary if row.label is None and row.metric == metric)
