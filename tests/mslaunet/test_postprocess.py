from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mslaunet._shared.errors import CheckpointError
from mslaunet.postprocess import (
    Choice,
    ClassStep,
    PostProcessing,
    choose_postprocessing,
    postprocess,
    smallest_sizes,
)
from mslaunet.predict.loading import read_postprocessing

VOXEL = (2.0, 1.0, 1.0)


def _case(crumbs: int) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """A cube of class 1 that was found, with so many false crumbs, and two lobes of class 2."""
    reference = np.zeros((6, 30, 30), np.uint8)
    reference[1:5, 2:12, 2:12] = 1
    reference[2:4, 16:20, 2:6] = reference[2:4, 16:20, 20:24] = 2
    predicted = reference.copy()
    for i in range(crumbs):
        predicted[0, 25, 2 + 3 * i] = 1
    return predicted, reference, VOXEL


def _choose(cases: list) -> Choice:
    return choose_postprocessing(iter(cases), smallest_sizes(((r, s) for _, r, s in cases), (1, 2, 3)))


def test_the_smallest_mask_of_each_class_is_found() -> None:
    sizes = smallest_sizes([(_case(0)[1], VOXEL), (_case(0)[1][:3], VOXEL)], (1, 2, 3))
    assert sizes == {1: 2 * 2 * 100.0, 2: 2 * 1 * 32.0}  # the second case is cut; class 3 is nowhere


def test_small_components_vanish_and_their_size_is_in_mm3() -> None:
    predicted, reference, spacing = _case(3)
    keeps = postprocess(predicted, PostProcessing(steps={1: ClassStep(min_size=2.0)}), spacing)
    drops = postprocess(predicted, PostProcessing(steps={1: ClassStep(min_size=2.1)}), spacing)
    assert np.array_equal(keeps, predicted)  # a crumb is one voxel of 2 mm3
    assert np.array_equal(drops, reference)
    assert np.array_equal(predicted, _case(3)[0])  # the input is left alone


def test_the_largest_component_stays_and_other_classes_are_left_alone() -> None:
    predicted, reference, spacing = _case(3)
    cleaned = postprocess(predicted, PostProcessing(steps={1: ClassStep(largest_component=True)}), spacing)
    assert np.array_equal(cleaned, reference)


def test_the_step_that_helps_on_validation_is_chosen_and_the_one_that_harms_is_not() -> None:
    choice = _choose([_case(3), _case(5)])
    assert set(choice.config.steps) == {1}  # the largest component alone would cost class 2 a lobe
    assert choice.after[1] == 1 > choice.before[1]
    assert choice.after[2] == choice.before[2] == 1
    cleaned = postprocess(_case(7)[0], choice.config, VOXEL)
    assert np.array_equal(cleaned, _case(7)[1])


def test_one_case_is_too_few_to_choose_anything() -> None:
    assert _choose([_case(3)]).config.steps == {}


def test_nothing_to_do_returns_the_same_array() -> None:
    labels = _case(0)[0]
    assert postprocess(labels, PostProcessing(), VOXEL) is labels


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postprocessing.json").write_text(json.dumps({"chosen": {"steps": {"1": {"min_size": -1}}}}))
    with pytest.raises(CheckpointError, match=r"postprocessing.json: damaged"):
        read_postprocessing(tmp_path)
