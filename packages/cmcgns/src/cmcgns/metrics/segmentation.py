"""Dice over films, with what is made of films without a finding said aloud."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._shared.metrics.overlap import dice

Empty = Literal["undefined", "one"]


class DiceScores(NamedTuple):
    """Dice per film and in the mean.

    Attributes:
        mean: over the films that count; NaN where none does.
        values: one per film, NaN where it does not count.
        empty_references: films without a finding.
        false_alarms: those of them in which something was predicted.
    """

    mean: float
    values: NDArray[np.float64]
    empty_references: int
    false_alarms: int


def mean_dice(
    predictions: Sequence[NDArray[np.bool_]],
    references: Sequence[NDArray[np.bool_]],
    *,
    empty: Empty = "undefined",
) -> DiceScores:
    """Mean Dice over films, not over batches.

    A film without a finding: "undefined" leaves it out and counts it, with the false alarms on such films beside the
    mean; "one" is the official code's rule (1 for an empty prediction, 0 otherwise), whose mean depends on the share
    of such films.

    Example:
        >>> full, none = np.ones((2, 2), bool), np.zeros((2, 2), bool)
        >>> mean_dice([full, none], [full, none]).mean, mean_dice([none, full], [none, none], empty="one").mean
        (1.0, 0.5)
    """
    values, blank, alarms = [], 0, 0
    for prediction, reference in zip(predictions, references, strict=True):
        if reference.any():
            values.append(dice(prediction, reference))
            continue
        blank += 1
        alarms += bool(prediction.any())
        values.append(nan if empty == "undefined" else float(not prediction.any()))
    scores = np.array(values, np.float64)
    counted = scores[~np.isnan(scores)]
    return DiceScores(float(counted.mean()) if len(counted) else nan, scores, blank, alarms)
