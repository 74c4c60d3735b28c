"""Average precision of boxes in which every image counts, with predictions or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError

# The thresholds of the RSNA challenge, used by MGCA and the official code.
RSNA_THRESHOLDS = tuple(round(0.40 + 0.05 * i, 2) for i in range(8))


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes of one image.

    Attributes:
        boxes: (n, 4) corners (x0, y0, x1, y1).
        scores: (n,); empty for references.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.boxes.ndim != 2 or self.boxes.shape[1] != 4 or len(self.scores) not in (0, len(self.boxes)):
            raise DataError(
                f"expected boxes (n, 4) and scores (n,), got {self.boxes.shape} and {self.scores.shape}"
            )


def box_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4).

    Example:
        >>> box_iou(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 0.0, 3.0, 2.0]])).round(3).tolist()
        [[0.333]]
    """
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(x[:, 2:] - x[:, :2], 0, None), axis=1) for x in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def average_precision(
    predictions: Sequence[Detections], references: Sequence[NDArray[np.float64]], iou: float
) -> float:
    """Area under the precision-recall envelope of all images together, at one IoU threshold.

    Predictions of all images are ranked by score; each takes the best free reference box of its image. Boxes of images
    without any prediction are missed (they stay in the recall's denominator), and predictions in images without boxes
    are false alarms: the official code leaves both kinds of images out. No confidence cut is made before. Equal scores
    are taken in the least favourable order.

    Args:
        predictions: one entry per image, empty ones included.
        references: boxes (m, 4) per image, empty ones included.
        iou: threshold, inclusive.

    Returns:
        In [0, 1]; NaN where no image has a reference box.

    Raises:
        DataError: different numbers of images.

    Example:
        >>> box, none = np.array([[0.0, 0.0, 1.0, 1.0]]), np.zeros((0, 4))
        >>> hit, silent = Detections(box, np.array([0.9])), Detections(none, np.zeros(0))
        >>> average_precision([hit, silent], [box, box], 0.5)
        0.5
    """
    if len(predictions) != len(references):
        raise DataError(
            f"expected one entry per image, got {len(predictions)} predictions, {len(references)} references"
        )
    return pooled_precision([match_image(p, r, iou) for p, r in zip(predictions, references, strict=True)])


def mean_average_precision(
    predictions: Sequence[Detections],
    references: Sequence[NDArray[np.float64]],
    thresholds: Sequence[float] = RSNA_THRESHOLDS,
) -> float:
    """Mean of `average_precision` over IoU thresholds; NaN where no image has a reference box."""
    return float(np.mean([average_precision(predictions, references, iou) for iou in thresholds]))


class ImageMatches(NamedTuple):
    """What became of the boxes of one image: scores (n,) and whether right (n,), and how many boxes there were."""

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    references: int


def match_image(prediction: Detections, reference: NDArray[np.float64], iou: float) -> ImageMatches:
    """Give each predicted box, best score first, the best free reference box that overlaps it by `iou` or more."""
    overlaps = box_iou(prediction.boxes, reference)
    free = np.ones(len(reference), bool)
    order = np.argsort(-prediction.scores, kind="stable")
    right = np.zeros(len(order), bool)
    for place, i in enumerate(order):
        candidates = np.where(free, overlaps[i], -1.0)
        if len(candidates) and candidates.max() >= iou:
            free[int(candidates.argmax())] = False
            right[place] = True
    return ImageMatches(prediction.scores[order], right, len(reference))


def pooled_precision(matches: Sequence[ImageMatches]) -> float:
    """Average precision of the matches of all images together; NaN where no image has a reference box."""
    total = sum(m.references for m in matches)
    if not total:
        return nan
    scores, right = (np.concatenate([getattr(m, name) for m in matches]) for name in ("scores", "right"))
    correct = right[np.lexsort((right, -scores))].astype(np.float64)  # misses first among equal scores
    precision = correct.cumsum() / np.arange(1, len(correct) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * correct).sum() / total)
