"""A study checks what it is given, and its mirror image swaps left and right."""

from __future__ import annotations

import numpy as np
import pytest

from breastmri._shared.errors import DataError
from breastmri.data.study import Study, mask_center_mm, mirrored
from breastmri.phantom import make_phantom


def test_refuses_times_that_do_not_fit_the_phases() -> None:
    with pytest.raises(DataError, match="3 acquisition times for 2 phases"):
        Study("s", "p", np.zeros((2, 3, 3, 3), np.float32), np.eye(4), (0.0, 1.0, 2.0))


def test_refuses_a_mask_of_another_grid() -> None:
    with pytest.raises(DataError, match=r"lesion_mask is \(3, 3, 2\)"):
        Study("s", "p", np.zeros((2, 3, 3, 3), np.float32), np.eye(4), lesion_mask=np.zeros((3, 3, 2), bool))


def test_an_empty_mask_has_no_centre() -> None:
    with pytest.raises(DataError, match="empty"):
        mask_center_mm(np.zeros((2, 2, 2), bool), np.eye(4))


def test_mirroring_moves_lesion_labels_and_centre_together() -> None:
    study = make_phantom(0, kind="malignant", side="left").study
    other = mirrored(study)
    assert (other.labels, other.lesion_side) == ({"right": 1, "left": 0}, "right")
    assert np.allclose(other.center_mm, mask_center_mm(other.lesion_mask, other.affine))
    assert (other.breast_mask == 2).sum() == (study.breast_mask == 1).sum()


def test_mirroring_twice_changes_nothing() -> None:
    study = make_phantom(0, kind="malignant").study
    twice = mirrored(mirrored(study))
    assert np.array_equal(twice.phases, study.phases)
    assert np.allclose(twice.center_mm, study.center_mm)
