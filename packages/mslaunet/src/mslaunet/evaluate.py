"""Masks against references: metrics in native space, with the policy for empty masks named."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ._shared.errors import DataError
from ._shared.logs import get_logger, progress
from ._shared.metrics.segmentation import ClassScores, EmptyPolicy, Summary, evaluate_case, summarise
from ._shared.metrics.transunet import evaluate_case_transunet
from .calibration import Calibration, Reliability
from .compat import smoothed_scores
from .data.dataset import Case, Dataset
from .data.manifest import read_manifest
from .data.nnunet import read_classes
from .data.parts import Part, cases_of
from .data.patients import read_patients, require_listed
from .masks import MaskKind, MaskReader
from .pairs import MaskPair, dataset_pairs, load_pair, pair_paths
from .predictions import read_record

log = get_logger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """Scores of every case and class, and their means.

    `transunet` holds the means under that convention, `smoothed` those of the official CVC-ClinicDB code (binary
    images only). `predicted_dice` is what the model expected of each case, where it was recorded.
    """

    rows: tuple[ClassScores, ...]
    summary: tuple[Summary, ...]
    transunet: tuple[Summary, ...]
    smoothed: tuple[Summary, ...] = ()
    calibration: Calibration | None = None
    predicted_dice: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values; an undefined score is NaN here and null in the JSON document."""
        return {
            "policy": self.rows[0].policy,
            "cases": [dataclasses.asdict(row) for row in self.rows],
            "summary": [dataclasses.asdict(row) for row in self.summary],
            "transunet": [dataclasses.asdict(row) for row in self.transunet],
            "smoothed": [dataclasses.asdict(row) for row in self.smoothed],
            "calibration": None if self.calibration is None else dataclasses.asdict(self.calibration),
            "predicted_dice": dict(self.predicted_dice),
        }


def evaluate_pairs(
    pairs: Iterable[MaskPair],
    classes: Mapping[int, str] | None,
    *,
    empty: EmptyPolicy = "undefined",
    patient_ids: Mapping[str, str] | None = None,
    predicted_dice: Mapping[str, float] | None = None,
) -> Evaluation:
    """Score pairs of masks; one pair is in memory at a time, and each is seen once.

    Args:
        pairs: masks on one grid each.
        classes: label id to name; background (0) is not scored. None: the ids that occur in any mask.
        empty: policy for distances to an empty mask, see `_shared.metrics.segmentation`.
        patient_ids: case id to the unit of the bootstrap; the case itself by default.
        predicted_dice: what the model expected of each case.

    Raises:
        DataError: a label id outside the classes, or nothing to score.
    """
    scorer = _Scorer(classes, empty, patient_ids or {})
    reliability = Reliability()
    for pair in pairs:
        scorer.add(pair)
        if pair.confidence is not None:
            reliability.add(pair.confidence, pair.predicted, pair.reference)
    rows, transunet, smoothed = scorer.finish()
    cases = {row.case_id for row in rows}
    return Evaluation(
        tuple(rows),
        tuple(summarise(rows)),
        tuple(summarise(transunet)),
        tuple(summarise(smoothed)) if smoothed else (),
        reliability.result(),
        {name: value for name, value in (predicted_dice or {}).items() if name in cases},
    )


class _Scorer:
    """Rows of all cases; where the classes are not known beforehand, later ones are filled in as absent."""

    def __init__(self, classes: Mapping[int, str] | None, empty: EmptyPolicy, patients: Mapping[str, str]) -> None:
        self.known = None if classes is None else {label: name for label, name in classes.items() if label > 0}
        self.empty, self.patients = empty, patients
        self.pairs: list[tuple[str, int, tuple[float, ...] | None]] = []
        self.found: set[int] = set()
        self.rows: list[ClassScores] = []
        self.transunet: list[ClassScores] = []
        self.smoothed: list[ClassScores] = []

    def add(self, pair: MaskPair) -> None:
        present = {int(v) for v in np.union1d(pair.predicted, pair.reference)} - {0}
        self.found |= present
        self.pairs.append((pair.case_id, pair.reference.ndim, pair.spacing_mm))
        scored = {label: f"label_{label}" for label in sorted(present)} if self.known is None else self.known
        if scored:
            self._score(pair, scored)
        binary = self.known is None or len(self.known) == 1
        if pair.reference.ndim == 2 and binary and present <= {1}:
            values = smoothed_scores(pair.predicted > 0, pair.reference > 0)
            patient = self.patients.get(pair.case_id, pair.case_id)
            name = "foreground" if self.known is None else next(iter(self.known.values()))
            self.smoothed.append(ClassScores(pair.case_id, patient, 1, name, "defined", "smoothed", values))

    def _score(self, pair: MaskPair, scored: Mapping[int, str]) -> None:
        patient = self.patients.get(pair.case_id)
        masks = (pair.predicted, pair.reference)
        self.rows += evaluate_case(
            *masks,
            case_id=pair.case_id,
            classes=scored,
            spacing_mm=pair.spacing_mm,
            patient_id=patient,
            empty=self.empty,
        )
        self.transunet += evaluate_case_transunet(*masks, case_id=pair.case_id, classes=scored, patient_id=patient)

    def finish(self) -> tuple[list[ClassScores], list[ClassScores], list[ClassScores]]:
        if not self.pairs:
            raise DataError("nothing to evaluate: no pair of masks")
        if self.known is None:
            if not self.found:
                raise DataError("all masks are empty: no class to score")
            self._fill_absent()
        smoothed = self.smoothed if len(self.smoothed) == len(self.pairs) else []
        return self.rows, self.transunet, smoothed

    def _fill_absent(self) -> None:
        """A class that neither mask of a case holds is a true negative there, whenever it was first seen."""
        scored = {(row.case_id, row.label) for row in self.rows}
        for case_id, ndim, spacing in self.pairs:
            absent = {c: f"label_{c}" for c in sorted(self.found) if (case_id, c) not in scored}
            if absent:
                nothing = np.zeros((1,) * ndim, np.uint8)
                self._score(MaskPair(case_id, nothing, nothing, spacing), absent)
        place = {name: number for number, (name, _, _) in enumerate(self.pairs)}
        for rows in (self.rows, self.transunet):
            rows.sort(key=lambda row: (place[row.case_id], row.label))


def evaluate_folders(
    references: Path,
    predictions: Path,
    *,
    classes: Mapping[int, str] | None = None,
    empty: EmptyPolicy = "undefined",
    masks: MaskKind = "auto",
    quiet: bool = False,
) -> Evaluation:
    """Score every reference mask against the prediction of the same name.

    Intervals resample the patients of a `patients.csv` beside the reference folder; without one, the cases. Distances
    are in voxels where the `mslaunet.json` there says that the sources did not tell how large a voxel is. What
    `predict` wrote beside its masks (expected Dice, confidence maps) is taken along.

    Args:
        references: folder of masks.
        predictions: folder of masks with the same names (the suffix may differ).
        classes: label id to name; by default those of a `dataset.json` beside the folder, or the ids found.
        empty: policy for distances to an empty mask.
        masks: what pixel values of 2-D masks mean, one answer for all files, see `masks.MaskReader`.
        quiet: no progress.

    Raises:
        DataError: a mask is missing, unreadable or on another grid, or `patients.csv` does not list every case.
            A prediction without reference is warned of.
    """
    paths = pair_paths(references, predictions)
    patients = read_patients(references.resolve().parent)
    if patients is not None:
        require_listed({name for name, _, _ in paths}, patients)
    classes = classes or _classes_beside(references)
    reader = MaskReader(masks)
    prepared = read_manifest(references.resolve().parent)
    in_voxels = prepared is not None and not prepared.spacing_known
    with progress(len(paths), "evaluating", quiet=quiet) as bar:

        def pairs() -> Iterator[MaskPair]:
            for name, reference, prediction in paths:
                pair = load_pair(name, reference, prediction, reader)
                yield dataclasses.replace(pair, spacing_mm=None) if in_voxels else pair
                bar.update()

        return evaluate_pairs(
            pairs(),
            classes,
            empty=empty,
            patient_ids=patients,
            predicted_dice=_expected(predictions),
        )


def evaluate_dataset(
    dataset: Dataset,
    predictions: Path,
    *,
    part: Part = "test",
    empty: EmptyPolicy = "undefined",
    quiet: bool = False,
) -> Evaluation:
    """Score a folder of masks against the masks of a data set of any layout.

    Distances are in voxels where the data set does not say how large its voxels are. Intervals resample patients.

    Args:
        dataset: an open data set.
        predictions: folder of masks named after its cases.
        part: which cases.
        empty: policy for distances to an empty mask.
        quiet: no progress.

    Raises:
        DataError: a mask is missing, unreadable or on another grid, or the part is empty.
    """
    cases = cases_of(dataset, part)
    with progress(len(cases), "evaluating", quiet=quiet) as bar:

        def pairs() -> Iterator[MaskPair]:
            for pair in dataset_pairs(dataset, cases, predictions):
                yield pair
                bar.update()

        return evaluate_pairs(
            pairs(),
            dataset.classes,
            empty=empty,
            patient_ids=_pseudonyms(cases),
            predicted_dice=_expected(predictions),
        )


def _pseudonyms(cases: Sequence[Case]) -> dict[str, str]:
    """Numbers for patients: the ids of a data set stay where they are."""
    numbers = {patient: i for i, patient in enumerate(dict.fromkeys(case.patient_id for case in cases), start=1)}
    return {case.case_id: f"patient {numbers[case.patient_id]}" for case in cases}


def _expected(predictions: Path) -> dict[str, float]:
    """Predicted mean Dice of every case, where `predict` recorded it."""
    found = {name: record.get("mean_predicted_dice") for name, record in read_record(predictions).items()}
    return {name: value for name, value in found.items() if value is not None}


def _classes_beside(references: Path) -> dict[int, str] | None:
    beside = references.resolve().parent
    return read_classes(beside / "dataset.json") if (beside / "dataset.json").is_file() else None


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
