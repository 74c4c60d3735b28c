"""The phantom is what its recipe says: kinetics, laterality, distractors, reproducibility."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from breastmri.phantom import PhantomConfig, make_phantom, phantom_cohort


@pytest.mark.parametrize(
    ("kind", "pe1", "ser"), [("malignant", (1.0, 2.0), (1.3, 1.9)), ("benign", (0.25, 0.7), (0.4, 0.65))]
)
def test_lesions_enhance_as_the_recipe_says(kind: str, pe1: tuple, ser: tuple) -> None:
    phantoms = [make_phantom(i, kind=kind) for i in range(12)]
    for phantom in phantoms:
        assert pe1[0] < phantom.kinetics["pe1"] < pe1[1]
        assert ser[0] < phantom.kinetics["ser"] < ser[1]


def test_the_lesion_lies_in_the_breast_of_its_label() -> None:
    for phantom in phantom_cohort(12, seed=3):
        side = phantom.study.lesion_side
        if side is not None:
            lesion = phantom.tissue["lesion"]
            assert lesion.any()
            assert not (lesion & ~phantom.tissue[f"breast_{side}"]).any()
            assert phantom.study.labels[side] == int(phantom.kind == "malignant")


def test_the_left_breast_has_the_low_index_of_the_right_pointing_axis() -> None:
    phantom = make_phantom(0)
    left, right = (ndimage.center_of_mass(phantom.tissue[name])[0] for name in ("breast_left", "breast_right"))
    assert left < right
    assert phantom.study.affine[0, 0] > 0


def test_the_heart_enhances_more_than_any_lesion_and_lies_outside_of_the_breasts() -> None:
    phantom = make_phantom(0, kind="malignant")
    phases, heart = phantom.study.phases, phantom.tissue["heart"]
    gain = phases[1] - phases[0]
    assert gain[heart].mean() > gain[phantom.tissue["lesion"]].mean()
    assert not (heart & (phantom.study.breast_mask > 0)).any()


def test_a_phantom_depends_on_its_number_and_seed_only() -> None:
    alone = make_phantom(3, seed=5).study.phases
    assert np.array_equal(alone, phantom_cohort(4, seed=5)[3].study.phases)
    assert not np.array_equal(alone, make_phantom(3, seed=6).study.phases)


def test_phases_hold_whole_numbers_that_fit_the_scanner_type() -> None:
    phases = make_phantom(1).study.phases
    assert np.array_equal(phases, np.rint(phases))
    assert 0 <= phases.min() <= phases.max() < 65536


def test_cohorts_keep_the_fractions_that_are_asked_for() -> None:
    config = PhantomConfig(size=(32, 40, 12), breasts="left", malignant_fraction=0.5, benign_fraction=0.5)
    kinds = [p.kind for p in phantom_cohort(120, config=config)]
    assert 45 <= kinds.count("malignant") <= 75
    assert 18 <= kinds.count("benign") <= 42


def test_the_truth_says_where_the_lesion_is() -> None:
    phantom = make_phantom(0, kind="malignant", side="right")
    truth = phantom.truth()
    assert truth["lesion_side"] == "right"
    assert truth["mask_volume_mm3"] == pytest.approx(phantom.tissue["lesion"].sum() * 4 * 4 * 6)
    assert truth["center_mm"] == list(phantom.study.center_mm)
