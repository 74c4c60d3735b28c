from __future__ import annotations

import math

import numpy as np
import pytest

from quartet_shared.metrics.segmentation import evaluate_case, summarise
from quartet_shared.metrics.transunet import evaluate_case_transunet

CLASSES = {1: "liver", 2: "spleen", 3: "kidney", 4: "aorta"}


def two_cases():
    """In the first case every status occurs; in the second all four organs are right."""
    pred, ref = np.zeros((2, 6, 6, 2), np.uint8)
    ref[0, 0], pred[0, 0, 0] = 1, 1
    ref[1, :2], pred[2, 0] = 2, 3
    perfect = np.zeros((6, 6, 2), np.uint8)
    perfect[:4, :, 0] = np.array([1, 2, 3, 4])[:, None]
    return [("a", pred, ref), ("b", perfect, perfect)]


def rows():
    return [
        row
        for case_id, pred, ref in two_cases()
        for row in evaluate_case_transunet(pred, ref, case_id=case_id, classes=CLASSES)
    ]


def test_values_are_those_of_the_convention_with_the_true_status():
    first = {row.name: (row.status, row.values["dice"], row.values["hd95_voxel"]) for row in rows()[:4]}
    assert first == {
        "liver": ("defined", pytest.approx(2 / 3), pytest.approx(np.percentile([0, 0, 1], 95))),
        "spleen": ("missed", 0.0, 0.0),
        "kidney": ("false_positive", 1.0, 0.0),
        "aorta": ("both_empty", 0.0, 0.0),
    }


def test_mean_is_over_cases_then_classes_and_flagged():
    table = {(summary.name, summary.metric): summary for summary in summarise(rows(), n_resamples=100)}
    overall = table["mean over classes", "dice"]
    assert overall.mean == pytest.approx(np.mean([(2 / 3 + 1) / 2, 0.5, 1.0, 0.5]))
    assert overall.policy == "transunet"
    assert overall.undefined == {}
    assert {metric for _, metric in table} == {"dice", "hd95_voxel"}


def test_the_convention_rewards_what_the_default_policy_punishes():
    _, pred, ref = two_cases()[0]
    ours = {r.name: r for r in evaluate_case(pred, ref, case_id="a", classes=CLASSES, spacing_mm=(1, 1, 1))}
    theirs = {r.name: r for r in evaluate_case_transunet(pred, ref, case_id="a", classes=CLASSES)}
    assert (ours["kidney"].values["dice"], theirs["kidney"].values["dice"]) == (0.0, 1.0)
    assert math.isnan(ours["spleen"].values["hd95_mm"])
    assert theirs["spleen"].values["hd95_voxel"] == 0.0
