"""The metric of a job over the films of a side, with its interval, and the paired difference of two models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from .._shared.metrics.statistics import PatientInterval, patient_bootstrap
from ..data.pairs import Pair
from ..metrics.detection import RSNA_THRESHOLDS, Detections, ImageMatches, match_image, pooled_precision
from ..metrics.segmentation import mean_dice
from ..zeroshot import macro_auroc, macro_auroc_of
from .models import Classifier, Model, Segmenter

if TYPE_CHECKING:
    from .task import FinetuneTask

# Per film: scores and labels; predicted and true mask; or boxes found, true boxes and their kinds.
Rows = list[Any]
Places = NDArray[np.int64]


@torch.no_grad()
def predict_side(model: Model, task: FinetuneTask, pairs: Sequence[Pair]) -> Rows:
    """What a model says of every film, beside what is true."""
    device = next(model.parameters()).device
    model.eval()
    rows: Rows = []
    for start in range(0, len(pairs), 16):
        part = pairs[start : start + 16]
        batch = task.collate(part, [None] * len(part))
        images = batch["image"].to(device)
        if isinstance(model, Classifier):
            rows += list(
                zip(model.logits(images).cpu().double().numpy(), batch["labels"].double().numpy(), strict=True)
            )
        elif isinstance(model, Segmenter):
            found = (model.logits(images)[:, 0] > 0).cpu().numpy()
            rows += list(zip(found, batch["mask"][:, 0].numpy() > 0.5, strict=True))
        else:
            rows += list(zip(model.detect(images), batch["boxes"], batch["kinds"], strict=True))
    return rows


def score_side(model: Model, task: FinetuneTask, pairs: Sequence[Pair], *, resamples: int = 0) -> dict[str, Any]:
    """The job's metric over films: macro AUROC, mAP (IoU 0.40 to 0.75) or mean Dice.

    Every film counts. With `resamples` a patient bootstrap interval is added.

    Returns:
        "value", "n", and "low" and "high" where asked; for Dice also "empty" and "false_alarms", per class for mAP.
    """
    return score_rows(predict_side(model, task, pairs), task, pairs, resamples=resamples)


def score_rows(rows: Rows, task: FinetuneTask, pairs: Sequence[Pair], *, resamples: int = 0) -> dict[str, Any]:
    """As `score_side`, of rows that `predict_side` gave."""
    patients = [pair.patient_id for pair in pairs]
    if task.config.job == "classification":
        return _auroc(rows, patients, resamples)
    if task.config.job == "segmentation":
        return _dice(rows, patients, resamples, task.config.empty)
    return _map(rows, patients, resamples, task.names)


def paired_difference(
    first: Rows, second: Rows, task: FinetuneTask, pairs: Sequence[Pair], *, resamples: int = 1000
) -> PatientInterval:
    """The metric of one model minus another's on the same films; a drawn patient brings the films of both.

    Args:
        first: rows of `predict_side`.
        second: the other model's, of the same films.
        task: either's.
        pairs: the films.
        resamples: of the patient bootstrap.
    """
    measures = [_measure(rows, task) for rows in (first, second)]

    def difference(places: NDArray[Any]) -> float:
        chosen = places.astype(np.int64)
        return measures[0](chosen) - measures[1](chosen)

    return patient_bootstrap(
        np.arange(len(pairs), dtype=float),
        [pair.patient_id for pair in pairs],
        statistic=difference,
        n_resamples=resamples,
        drop_undefined=True,
    )


def _measure(rows: Rows, task: FinetuneTask) -> Callable[[Places], float]:
    """Rows -> the metric of some of them."""
    if task.config.job == "detection":
        return _map_of(rows, task.names)[0]
    if task.config.job == "classification":
        scores, labels = (np.array([row[i] for row in rows]) for i in (0, 1))
        return lambda places: macro_auroc_of(labels[places], scores[places])
    values = mean_dice([r[0] for r in rows], [r[1] for r in rows], empty=task.config.empty).values

    def mean(places: Places) -> float:
        counted = values[places][~np.isnan(values[places])]
        return float(counted.mean()) if len(counted) else nan

    return mean


def _auroc(rows: Rows, patients: list[str], resamples: int) -> dict[str, Any]:
    scores, labels = (np.array([row[i] for row in rows]) for i in (0, 1))
    value, low, high = macro_auroc(labels, scores, patients, resamples=max(resamples, 20))
    result = {"metric": "macro AUROC", "value": value, "n": len(rows)}
    return {**result, "low": low, "high": high} if resamples else result


def _dice(rows: Rows, patients: list[str], resamples: int, empty: Any) -> dict[str, Any]:
    scores = mean_dice([r[0] for r in rows], [r[1] for r in rows], empty=empty)
    counted = ~np.isnan(scores.values)
    result: dict[str, Any] = {"metric": f"mean Dice per film, films without finding {empty}", "value": scores.mean}
    result |= {"n": int(counted.sum()), "empty": scores.empty_references, "false_alarms": scores.false_alarms}
    if resamples and counted.any():
        kept = [p for p, c in zip(patients, counted, strict=True) if c]
        interval = patient_bootstrap(scores.values[counted], kept, n_resamples=resamples)
        result |= {"low": interval.low, "high": interval.high}
    return result


def _map_of(rows: Rows, names: Sequence[str]) -> tuple[Callable[[Places], float], Callable[[int, Places], float]]:
    """The mean over findings, and the value of one finding, as functions of the films that count."""
    matched = [[_matched(rows, kind, iou) for iou in RSNA_THRESHOLDS] for kind in range(len(names))]

    def of_label(kind: int, places: Places) -> float:
        return float(np.mean([pooled_precision([m[i] for i in places]) for m in matched[kind]]))

    def mean(places: Places) -> float:
        values = [of_label(kind, places) for kind in range(len(names))]
        defined = [value for value in values if value == value]
        return float(np.mean(defined)) if defined else nan

    return mean, of_label


def _map(rows: Rows, patients: list[str], resamples: int, names: Sequence[str]) -> dict[str, Any]:
    mean, of_label = _map_of(rows, names)
    everything = np.arange(len(rows))
    metric = f"mAP, IoU {RSNA_THRESHOLDS[0]:.2f} to {RSNA_THRESHOLDS[-1]:.2f}"
    result: dict[str, Any] = {"metric": metric, "value": mean(everything), "n": len(rows)}
    result["by_label"] = {name: of_label(kind, everything) for kind, name in enumerate(names)}
    if resamples:
        interval = patient_bootstrap(
            everything.astype(float),
            patients,
            statistic=lambda places: mean(places.astype(np.int64)),
            n_resamples=resamples,
            drop_undefined=True,
        )
        result |= {"low": interval.low, "high": interval.high}
    return result


def _matched(rows: Rows, kind: int, iou: float) -> list[ImageMatches]:
    """Right and wrong boxes of one finding, per film."""
    matches = []
    for found, boxes, kinds in rows:
        mine = found["labels"] == kind
        chosen = (found[key][mine].double().cpu().numpy() for key in ("boxes", "scores"))
        matches.append(match_image(Detections(*chosen), boxes[kinds == kind].double().numpy(), iou))
    return matches
