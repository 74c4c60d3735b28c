"""Breasts are found without a network: close to the truth, without the heart, mirrored exactly, or flagged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from breastmri._shared.errors import DataError
from breastmri.crop import find_breast
from breastmri.data.study import mirrored
from breastmri.phantom import PhantomConfig, make_phantom

FINE = PhantomConfig(size=(128, 80, 24), spacing_mm=(2, 2, 3))
ONE = PhantomConfig(size=(44, 56, 20), spacing_mm=(3, 3, 4.5), breasts="right")


@pytest.mark.parametrize("config", [PhantomConfig(), FINE, ONE], ids=["coarse", "fine", "one breast"])
def test_finds_the_breasts_without_the_heart_and_with_the_lesion(config: PhantomConfig) -> None:
    for index in range(4):
        phantom = make_phantom(index, config=config, kind="malignant")
        study = replace(phantom.study, breast_mask=None)
        for side in study.sides:
            region, truth = find_breast(study, side), phantom.tissue[f"breast_{side}"]
            assert (region.source, region.problems) == ("found", ())
            assert 2 * (region.mask & truth).sum() / (region.mask.sum() + truth.sum()) > 0.9
            assert not (region.mask & phantom.tissue["heart"]).any()
            if side == study.lesion_side:
                lesion = phantom.tissue["lesion"]
                assert (region.mask & lesion).sum() > 0.95 * lesion.sum()


def test_mirroring_the_study_mirrors_the_regions() -> None:
    study = replace(make_phantom(1).study, breast_mask=None)
    left = find_breast(study, "left").mask
    assert np.array_equal(left[::-1], find_breast(mirrored(study), "right").mask)


def test_the_users_mask_is_taken_as_it_is() -> None:
    study = make_phantom(0).study
    region = find_breast(study, "right")
    assert region.source == "drawn"
    assert np.array_equal(region.mask, study.breast_mask == 2)


def test_a_mask_without_the_side_is_refused() -> None:
    study = replace(make_phantom(0).study, breast_mask=np.ones((64, 40, 12), np.uint8))
    with pytest.raises(DataError, match="no voxel of the right breast"):
        find_breast(study, "right")


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_an_empty_study_gives_the_flagged_half(value: float) -> None:
    study = make_phantom(0).study
    study = replace(study, breast_mask=None, phases=np.full_like(study.phases, value))
    region = find_breast(study, "left")
    assert region.source == "whole"
    assert "no body found" in region.problems[0]
    assert region.mask[:32].all()
    assert not region.mask[32:].any()


def test_noise_is_flagged() -> None:
    study = make_phantom(0).study
    noise = np.random.default_rng(0).uniform(0, 50, study.phases.shape).astype(np.float32)
    assert find_breast(replace(study, breast_mask=None, phases=noise), "left").problems


def test_an_implausibly_small_breast_is_flagged() -> None:
    phantom = make_phantom(0)
    study = replace(phantom.study, breast_mask=None, affine=phantom.study.affine @ np.diag([0.35, 0.35, 0.35, 1]))
    assert find_breast(study, "left").problems


def test_rounding_of_the_spacing_does_not_move_the_region() -> None:
    study = replace(make_phantom(1).study, breast_mask=None)
    other = replace(study, affine=study.affine.astype(np.float32).astype(float) * (1 + 1e-7))
    assert np.array_equal(find_breast(study, "left").mask, find_breast(other, "left").mask)


def test_two_slices_are_flagged() -> None:
    study = make_phantom(1).study
    thin = replace(study, phases=study.phases[..., 5:7], lesion_mask=None, breast_mask=None)
    assert "only 2 slices" in find_breast(thin, "left").problems
