"""Whether confidence can be believed: how often voxels of a given confidence are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Reliability of the predicted class where the prediction or the reference is not background.

    Background is left out: it is most of every image and nearly always right, so any model would look calibrated.

    Attributes:
        confidence: mean confidence of each bin that holds voxels.
        accuracy: fraction of its voxels whose predicted class is right.
        count: its voxels.
        ece: expected calibration error, sum_b n_b / n |accuracy_b - confidence_b| (Naeini et al. 2015).
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    count: tuple[int, ...]
    ece: float


class Reliability:
    """Running sums over cases in 15 equal bins of confidence."""

    def __init__(self) -> None:
        self._sums = np.zeros((3, BINS))  # voxels, confidence, right ones

    def add(self, confidence: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> None:
        """Count one case; the three arrays have one shape."""
        inside = (predicted > 0) | (reference > 0)
        values, right = confidence[inside], predicted[inside] == reference[inside]
        bins = np.clip((values * BINS).astype(int), 0, BINS - 1)
        for row, weights in enumerate((None, values, right.astype(float))):
            self._sums[row] += np.bincount(bins, weights, minlength=BINS)

    def result(self) -> Calibration | None:
        """The calibration, or None where nothing was counted."""
        filled = self._sums[0] > 0
        if not filled.any():
            return None
        count, confidence, right = self._sums[:, filled]
        confidence, accuracy = confidence / count, right / count
        ece = float((count / count.sum() * np.abs(accuracy - confidence)).sum())
        return Calibration(tuple(confidence.tolist()), tuple(accuracy.tolist()), tuple(int(n) for n in count), ece)
