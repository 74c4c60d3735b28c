"""Scores per case and class under a named empty-mask policy, and their summary with intervals.

A score that its formula does not define is NaN, never 0 or 1, and the row's status says why. What is arithmetic
stays arithmetic: the Dice of a missed organ is 0 / |ref| = 0, and so is that of a false positive (MONAI hides the
latter as NaN); only 0 / 0 is undefined. No distance leads to an empty mask. An organ that is absent and not
predicted is a true negative: it is counted, and enters no mean (1 would reward rare organs, 0 would punish them).

| status         | reference | prediction | dice, iou, nsd | hd95, assd   | volume_error_ml  | ..._relative  |
|----------------|-----------|------------|----------------|--------------|------------------|---------------|
| defined        | present   | present    | formula        | formula      | V(pred) - V(ref) | that / V(ref) |
| missed         | present   | empty      | 0              | undefined(1) | -V(ref)          | -1            |
| false_positive | empty     | present    | 0              | undefined(1) | V(pred)          | undefined     |
| both_empty     | empty     | empty      | undefined      | undefined    | undefined        | undefined     |

(1) Policy "undefined" leaves these out of the mean, where they are counted; a model that misses a hard organ then
loses its worst distances, so two models' means do not rest on the same cases. Policy "worst" puts the diagonal of
the grid in their place, an upper bound of any distance: for ranking and paired tests. The policy stands in every
row. The convention of the TransUNet tables is in `transunet`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import ConfigError, DataError
from .overlap import Mask, check_spacing, dice, iou, relative_volume_error, volume_error_ml
from .statistics import patient_bootstrap
from .surface import HD95Definition, assd, hd95, nsd, surface_distances

Labels = NDArray[np.integer[Any]]
Status = Literal["defined", "missed", "false_positive", "both_empty"]
EmptyPolicy = Literal["undefined", "worst"]


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class in one case; NaN in `values` is undefined for the reason in `status`."""

    case_id: str
    patient_id: str
    label: int
    name: str
    status: Status
    policy: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Summary:
    """Mean of one metric over cases, or over classes of such means (`label` None), with a patient-level interval.

    `n` values were averaged; `undefined` counts by status those that could not be. `n_classes` is the number of
    classes with at least one value. `low` and `high` are NaN where `no_interval` gives a reason.
    """

    name: str
    label: int | None
    metric: str
    policy: str
    mean: float
    low: float
    high: float
    n: int
    n_patients: int
    n_classes: int
    undefined: Mapping[str, int]
    no_interval: str


class ClassMasks(NamedTuple):
    """Both masks of one class, cropped to their joint bounding box."""

    label: int
    name: str
    status: Status
    pred: Mask
    ref: Mask


def evaluate_case(
    pred_labels: Labels,
    ref_labels: Labels,
    *,
    case_id: str,
    classes: Mapping[int, str],
    spacing_mm: Sequence[float] | None,
    patient_id: str | None = None,
    tolerance: float = 2.0,
    hd95_definition: HD95Definition = "max_directed",
    empty: EmptyPolicy = "undefined",
) -> list[ClassScores]:
    """Score every class of one case.

    Args:
        pred_labels: predicted label map, integers, 2-D or 3-D.
        ref_labels: reference label map, integers, the same shape.
        case_id: name of the case in the rows; never put an identifying name here.
        classes: label -> name of the classes to score, labels from 1 up; 0 is background.
        spacing_mm: voxel size along each axis in mm; None for images of unknown scale: distances are in pixels
            then and called `_px` instead of `_mm`.
        patient_id: pseudonym that groups the cases of one patient; the case id if None.
        tolerance: tolerance of the normalised surface Dice, in the unit of the distances (2 mm: our choice).
        hd95_definition: see `surface.hd95`.
        empty: policy for distances to an empty mask, see the module.

    Returns:
        One row per class in the order of `classes`, with `dice`, `iou`, `nsd`, `hd95_mm` (`hd95_pooled_mm` under
        the pooled definition), `assd_mm`, `volume_error_relative` and, for volumes of known scale,
        `volume_error_ml`.

    Raises:
        DataError: shapes differ, labels are no integers or outside `classes`, or the spacing does not fit.
        ConfigError: `classes` is empty or names the background, or an option is unknown.

    Example:
        >>> ref = np.array([[0, 1, 1, 0]])
        >>> row = evaluate_case(ref, ref, case_id="a", classes={1: "liver"}, spacing_mm=(1, 1))[0]
        >>> row.status, row.values["dice"], row.values["hd95_mm"]
        ('defined', 1.0, 0.0)
    """
    for option, known in ((empty, EmptyPolicy), (hd95_definition, HD95Definition)):
        if option not in get_args(known):
            raise ConfigError(f"expected one of {get_args(known)}, got {option!r}")
    unit, spacing = ("px", (1.0,) * ref_labels.ndim) if spacing_mm is None else ("mm", tuple(spacing_mm))
    spacing = check_spacing(spacing, ref_labels.ndim)
    diagonal = math.hypot(*(size * step for size, step in zip(ref_labels.shape, spacing, strict=True)))
    hd95_name = f"hd95_{unit}" if hd95_definition == "max_directed" else f"hd95_{hd95_definition}_{unit}"

    def score(masks: ClassMasks) -> dict[str, float]:
        distances = surface_distances(masks.pred, masks.ref, spacing)
        lost = empty == "worst" and masks.status in ("missed", "false_positive")
        values = {
            "dice": dice(masks.pred, masks.ref),
            "iou": iou(masks.pred, masks.ref),
            "nsd": nsd(distances, tolerance),
            hd95_name: diagonal if lost else hd95(distances, definition=hd95_definition),
            f"assd_{unit}": diagonal if lost else assd(distances),
            "volume_error_relative": relative_volume_error(masks.pred, masks.ref),
        }
        if unit == "mm" and ref_labels.ndim == 3:
            absent = masks.status == "both_empty"
            values["volume_error_ml"] = math.nan if absent else volume_error_ml(masks.pred, masks.ref, spacing)
        return values

    return [
        ClassScores(case_id, patient_id or case_id, masks.label, masks.name, masks.status, empty, score(masks))
        for masks in class_masks(pred_labels, ref_labels, classes)
    ]


def class_masks(pred_labels: Labels, ref_labels: Labels, classes: Mapping[int, str]) -> Iterator[ClassMasks]:
    """Yield the masks of each class, cropped, so that many classes cost little more than one pass each.

    Raises:
        DataError: shapes differ, labels are no integers, or outside `classes`.
        ConfigError: `classes` is empty or names the background.
    """
    if not classes or min(classes) < 1:
        raise ConfigError(f"classes: expected labels from 1 up (0 is background), got {sorted(classes)}")
    if pred_labels.shape != ref_labels.shape:
        raise DataError(
            f"prediction {pred_labels.shape} and reference {ref_labels.shape} differ in shape; "
            "resample one to the other's grid"
        )
    _check_labels(pred_labels, "prediction", classes)
    _check_labels(ref_labels, "reference", classes)
    pred_boxes = ndimage.find_objects(pred_labels, max_label=max(classes))
    ref_boxes = ndimage.find_objects(ref_labels, max_label=max(classes))
    for label, name in classes.items():
        pred_box, ref_box = pred_boxes[label - 1], ref_boxes[label - 1]
        box = _union(pred_box, ref_box, ref_labels.ndim)
        yield ClassMasks(
            label, name, _status(pred_box, ref_box), pred_labels[box] == label, ref_labels[box] == label
        )


def summarise(
    rows: Sequence[ClassScores], *, n_resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> list[Summary]:
    """Average each metric per class over cases, and overall over the classes' means, with patient-level intervals.

    The overall mean gives each class the same weight, however often it is defined (the convention of the field).
    In a bootstrap resample in which a class does not occur it is the mean of the others.

    Args:
        rows: rows of `evaluate_case` (or of `transunet`) of all cases, under one policy.
        n_resamples: bootstrap resamples.
        confidence: coverage of the interval.
        seed: seed of the bootstrap.

    Returns:
        Per metric: one summary per class in order of first appearance, then one called "mean over classes".

    Raises:
        DataError: if there are no rows, or rows of several policies.
    """
    policies = sorted({row.policy for row in rows})
    if len(policies) != 1:
        raise DataError(f"summary: expected rows of one empty-mask policy, got {policies or 'no rows'}")

    def summary(name: str, label: int | None, metric: str, chosen: Sequence[ClassScores]) -> Summary:
        kept = [row for row in chosen if not math.isnan(row.values[metric])]
        interval = patient_bootstrap(
            np.array([(row.label, row.values[metric]) for row in kept]).reshape(-1, 2),
            [row.patient_id for row in kept],
            statistic=_mean_of_class_means,
            n_resamples=n_resamples,
            confidence=confidence,
            seed=seed,
        )
        return Summary(
            name=name,
            label=label,
            metric=metric,
            policy=policies[0],
            mean=interval.estimate,
            low=interval.low,
            high=interval.high,
            n=len(kept),
            n_patients=interval.n_patients,
            n_classes=len({row.label for row in kept}),
            undefined=dict(Counter(row.status for row in chosen if math.isnan(row.values[metric]))),
            no_interval=interval.undefined,
        )

    table = []
    for metric in dict.fromkeys(metric for row in rows for metric in row.values):
        having = [row for row in rows if metric in row.values]
        for label, name in dict.fromkeys((row.label, row.name) for row in having):
            table.append(summary(name, label, metric, [row for row in having if row.label == label]))
        table.append(summary("mean over classes", None, metric, having))
    return table


def _mean_of_class_means(label_and_value: NDArray[np.float64]) -> float:
    labels = label_and_value[:, 0].astype(np.intp)
    counts = np.bincount(labels)
    present = counts > 0
    return float(np.mean(np.bincount(labels, weights=label_and_value[:, 1])[present] / counts[present]))


def _check_labels(labels: Labels, name: str, classes: Mapping[int, str]) -> None:
    if labels.dtype.kind not in "iu":
        raise DataError(
            f"{name} labels: expected an integer dtype, got {labels.dtype}; round or threshold them first"
        )
    if labels.size == 0:
        raise DataError(f"{name} labels: expected at least one voxel, got shape {labels.shape}")
    allowed = np.zeros(max(classes) + 1, dtype=np.bool_)
    allowed[[0, *classes]] = True
    if labels.min() < 0 or labels.max() >= allowed.size or not allowed[labels].all():
        foreign = [int(label) for label in np.unique(labels) if label != 0 and label not in classes]
        raise DataError(
            f"{name} labels: expected 0 and {sorted(classes)}, got also {foreign[:8]}; name or map these classes"
        )


def _status(pred_box: tuple[slice, ...] | None, ref_box: tuple[slice, ...] | None) -> Status:
    if pred_box is None:
        return "both_empty" if ref_box is None else "missed"
    return "false_positive" if ref_box is None else "defined"


def _union(a: tuple[slice, ...] | None, b: tuple[slice, ...] | None, ndim: int) -> tuple[slice, ...]:
    """Smallest box around both; an empty box if neither exists."""
    if a is None or b is None:
        return a or b or (slice(0, 0),) * ndim
    return tuple(slice(min(i.start, j.start), max(i.stop, j.stop)) for i, j in zip(a, b, strict=True))
