"""Average precision that no silent image can raise (engineering defect 29)."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmcgns._shared.errors import DataError
from cmcgns.metrics.detection import Detections, average_precision, box_iou, mean_average_precision

BOX = np.array([[0.0, 0.0, 1.0, 1.0]])
FAR = BOX + 5
NONE = np.zeros((0, 4))
SILENT = Detections(NONE, np.zeros(0))


def predicted(*scored: tuple[np.ndarray, float]) -> Detections:
    return Detections(np.concatenate([b for b, _ in scored]), np.array([s for _, s in scored]))


def test_an_image_without_predictions_lowers_recall() -> None:
    hit = predicted((BOX, 0.9))
    assert average_precision([hit], [BOX], 0.5) == 1
    assert average_precision([hit, SILENT], [BOX, BOX], 0.5) == 0.5


def test_a_false_alarm_on_a_normal_film_lowers_precision() -> None:
    hit, alarm = predicted((BOX, 0.8)), predicted((BOX, 0.9))
    assert average_precision([hit, alarm], [BOX, NONE], 0.5) == 0.5
    assert average_precision([hit, SILENT], [BOX, NONE], 0.5) == 1


def test_a_box_is_found_once() -> None:
    twice = predicted((BOX, 0.9), (BOX, 0.8), (FAR, 0.7))
    assert average_precision([twice], [np.concatenate([BOX, FAR])], 0.5) == pytest.approx((1 + 2 / 3) / 2)


def test_low_scores_count_as_there_is_no_cut_before_the_metric() -> None:
    assert average_precision([predicted((BOX, 0.01))], [BOX], 0.5) == 1


def test_equal_scores_are_taken_in_the_least_favourable_order() -> None:
    assert average_precision([predicted((BOX, 0.5), (FAR, 0.5))], [BOX], 0.5) == 0.5


def test_without_any_reference_box_it_is_undefined() -> None:
    assert isnan(average_precision([predicted((BOX, 0.5))], [NONE], 0.5))
    assert isnan(mean_average_precision([SILENT], [NONE]))


def test_each_image_needs_an_entry() -> None:
    with pytest.raises(DataError, match="one entry per image"):
        average_precision([SILENT], [BOX, BOX], 0.5)


def loop_average_precision(predictions: list[Detections], references: list[np.ndarray], iou: float) -> float:
    """The area with the envelope written as a loop over recall levels."""
    rows = []
    for p, r in zip(predictions, references, strict=True):
        free = list(range(len(r)))
        for i in sorted(range(len(p.boxes)), key=lambda i: -p.scores[i]):
            overlaps = {j: float(box_iou(p.boxes[i : i + 1], r[j : j + 1])[0, 0]) for j in free}
            best = max(overlaps, key=lambda j: overlaps[j], default=None)
            right = best is not None and overlaps[best] >= iou
            if right:
                free.remove(best)
            rows.append((p.scores[i], right))
    rows.sort(key=lambda row: (-row[0], row[1]))
    total = sum(map(len, references))
    points, found = [], 0
    for place, (_, right) in enumerate(rows, start=1):
        found += right
        points.append((found / total, found / place))
    return (
        sum(max((p for r, p in points if r >= level / total - 1e-12), default=0) for level in range(1, total + 1))
        / total
    )


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 100_000))
def test_equals_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def boxes(n: int) -> np.ndarray:
        corner = rng.integers(0, 4, (n, 2)).astype(float)
        return np.concatenate([corner, corner + rng.integers(1, 4, (n, 2))], 1)

    references = [boxes(int(n)) for n in rng.integers(0, 3, 4)]
    if not sum(map(len, references)):
        return
    predictions = []
    for n in rng.integers(0, 4, 4):
        predictions.append(Detections(boxes(int(n)), rng.permutation(100)[: int(n)] / 100))
    expected = loop_average_precision(predictions, references, 0.3)
    assert average_precision(predictions, references, 0.3) == pytest.approx(expected)


def test_iou_of_disjoint_equal_and_degenerate_boxes() -> None:
    assert box_iou(BOX, FAR)[0, 0] == 0
    assert box_iou(BOX, BOX)[0, 0] == 1
    assert box_iou(np.zeros((1, 4)), np.zeros((1, 4)))[0, 0] == 0
