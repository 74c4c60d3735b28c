"""One breast per input: channels, geometry in mm, mirrored right breasts, clear refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from breastmri._shared.errors import DataError
from breastmri.data.study import Study, mirrored
from breastmri.phantom import Phantom, make_phantom
from breastmri.preprocess import CLIP, Preprocessing, breast_input, breast_inputs

PLAN = Preprocessing(size=(12, 40, 32), spacing_mm=(6, 4, 4))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(0, kind="malignant", side="right")


def without_mask(study: Study) -> Study:
    return replace(study, breast_mask=None)


def test_gives_one_input_per_breast_with_its_label(phantom: Phantom) -> None:
    inputs = breast_inputs(phantom.study, PLAN)
    assert [(i.side, i.label, i.array.shape) for i in inputs] == [
        ("left", 0, (3, 12, 40, 32)),
        ("right", 1, (3, 12, 40, 32)),
    ]
    assert inputs[0].lesion is None
    assert inputs[1].center_mm == phantom.study.center_mm


@pytest.mark.parametrize("masked", [True, False], ids=["drawn", "found"])
def test_mirroring_a_study_swaps_the_inputs_of_its_breasts(phantom: Phantom, masked: bool) -> None:
    study = phantom.study if masked else without_mask(phantom.study)
    inputs, swapped = breast_inputs(study, PLAN), breast_inputs(mirrored(study), PLAN)
    for one, other in zip(inputs, reversed(swapped), strict=True):
        assert one.side != other.side
        assert np.abs(one.array - other.array).max() < 1e-5


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("plan", [PLAN, Preprocessing(size=(20, 64, 48), spacing_mm=(5, 3, 3.2))])
def test_the_affine_of_an_input_leads_to_the_lesion(side: str, plan: Preprocessing) -> None:
    study = make_phantom(2, kind="malignant", side=side).study
    found = breast_input(study, side, plan)
    index = np.argwhere(np.ones(found.lesion.shape))
    middle = (index * found.lesion.reshape(-1, 1)).sum(0) / found.lesion.sum()
    place = found.affine[:3, :3] @ middle + found.affine[:3, 3]
    assert np.linalg.norm(place - study.center_mm) < 1.0


def test_a_map_spread_over_the_study_meets_the_lesion(phantom: Phantom) -> None:
    found = breast_input(phantom.study, "right", PLAN)
    back = found.window.spread(found.lesion, phantom.study.shape) > 0.5
    assert np.array_equal(back, phantom.study.lesion_mask)


def test_subtraction_channels_show_the_lesion_and_not_the_heart(phantom: Phantom) -> None:
    found = breast_input(phantom.study, "right", PLAN)
    gain = found.array[PLAN.enhancement_channel]
    assert found.lesion[np.unravel_index(gain.argmax(), gain.shape)] > 0
    heart = found.window.sample(phantom.tissue["heart"]) > 0.5
    assert (gain[heart] == 0).all()


def test_the_intensity_scale_of_the_scanner_cancels(phantom: Phantom) -> None:
    louder = replace(phantom.study, phases=phantom.study.phases * 7)
    for one, other in zip(breast_inputs(phantom.study, PLAN), breast_inputs(louder, PLAN), strict=True):
        assert np.allclose(one.array, other.array, atol=1e-4)


def test_channels_are_clipped(phantom: Phantom) -> None:
    phases = phantom.study.phases.copy()
    phases[1, phantom.study.lesion_mask] = 60000
    gain = breast_input(replace(phantom.study, phases=phases), "right", PLAN).array
    assert (gain.min() >= CLIP[0], gain.max()) == (True, CLIP[1])


def test_the_preset_sub_takes_one_channel_per_post_phase(phantom: Phantom) -> None:
    plan = Preprocessing(channels="sub", post_phases=4, size=(12, 40, 32), spacing_mm=(6, 4, 4))
    found = breast_input(phantom.study, "left", plan)
    assert (len(found.array), plan.num_channels, plan.channel_names[0]) == (4, 4, "sub1")


@pytest.mark.parametrize(("count", "words"), [(1, "1 phase, the"), (2, "2 phases, the")])
def test_too_few_phases_are_refused(phantom: Phantom, count: int, words: str) -> None:
    study = replace(phantom.study, phases=phantom.study.phases[:count], times_s=None)
    with pytest.raises(DataError, match=f"{words} channels 'pre.sub1.washout' need 3"):
        breast_input(study, "left", PLAN)


def test_a_constant_study_is_refused(phantom: Phantom) -> None:
    study = replace(phantom.study, phases=np.full_like(phantom.study.phases, 7))
    with pytest.raises(DataError, match="constant or empty"):
        breast_input(study, "left", PLAN)


def test_nan_is_refused(phantom: Phantom) -> None:
    phases = phantom.study.phases.copy()
    phases[1, 20, 20, 5] = np.nan
    with pytest.raises(DataError, match="NaN or infinite"):
        breast_inputs(replace(phantom.study, phases=phases), PLAN)


def test_a_breast_that_is_not_shown_is_refused() -> None:
    study = replace(make_phantom(0).study, labels={"left": 1})
    with pytest.raises(DataError, match="shows left, asked for the right"):
        breast_input(study, "right", PLAN)
