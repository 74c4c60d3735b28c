"""Kinetics follow the true times, agree with the phantom's own curves, and stay undefined where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from breastmri._shared.errors import DataError
from breastmri.data.study import Study
from breastmri.kinetics import early_phase, kinetic_maps, region_kinetics, sphere, wash_in
from breastmri.phantom import PhantomConfig, make_phantom

QUIET = PhantomConfig(noise=(0.0, 0.0))


def curve_study(values: list[float], times: tuple[float, ...] | None) -> Study:
    phases = np.array(values, np.float32)[:, None, None, None] * np.ones((1, 3, 3, 3), np.float32)
    return Study("s", "p", phases, np.diag([2.0, 2.0, 2.0, 1.0]), times)


def test_a_curve_by_hand() -> None:
    found = region_kinetics(curve_study([100, 200, 180, 150], (0, 120, 240, 360)), np.ones((3, 3, 3), bool))
    assert found.pe == pytest.approx(1.0)
    assert found.ser == pytest.approx(2.0)
    assert found.ttp_s == 120
    assert found.washout_per_min == pytest.approx((150 - 200) / 200 / 4)
    assert (found.type, found.fractions, found.voxels) == (3, (0, 0, 1), 27)
    assert found.curve == pytest.approx((0, 1, 0.8, 0.5))


@pytest.mark.parametrize(("values", "kind"), [([100, 150, 200], 1), ([100, 200, 200], 2), ([100, 200, 160], 3)])
def test_types_follow_the_signal_enhancement_ratio(values: list[float], kind: int) -> None:
    study = curve_study(values, (0, 120, 240))
    assert region_kinetics(study, np.ones((3, 3, 3), bool)).type == kind
    assert (kinetic_maps(study)["type"] == kind).all()


def test_weak_enhancement_has_no_type() -> None:
    study = curve_study([100, 120, 110], (0, 120, 240))
    assert region_kinetics(study, np.ones((3, 3, 3), bool)).type == 0
    assert (kinetic_maps(study)["type"] == 0).all()


def test_the_early_phase_is_chosen_by_time_and_not_by_number() -> None:
    assert early_phase((0, 20, 40, 110, 300), 5) == 3
    fast, slow = (curve_study([100, 110, 200, 150], t) for t in ((0, 30, 120, 300), (0, 120, 240, 300)))
    assert kinetic_maps(fast)["pe"][1, 1, 1] == pytest.approx(1.0)
    assert kinetic_maps(slow)["pe"][1, 1, 1] == pytest.approx(0.1)


def test_without_times_there_is_no_time_to_peak() -> None:
    study = curve_study([100, 200, 150], None)
    assert set(kinetic_maps(study)) == {"pe", "ser", "type"}
    found = region_kinetics(study, np.ones((3, 3, 3), bool))
    assert np.isnan([found.ttp_s, found.washout_per_min]).all()
    assert found.type == 3


def test_air_has_no_enhancement_and_maps_no_nan() -> None:
    study = make_phantom(0, kind="malignant").study
    maps = kinetic_maps(study)
    assert all(np.isfinite(values).all() for values in maps.values())
    flat = kinetic_maps(curve_study([0, 5, 9], (0, 1, 2)))
    assert (flat["pe"] == 0).all()


@pytest.mark.parametrize("kind", ["malignant", "benign"])
def test_lesions_of_the_phantom_show_their_planted_curves(kind: str) -> None:
    for index in range(3):
        phantom = make_phantom(index, kind=kind, config=QUIET)
        core = phantom.tissue["lesion"]
        found = region_kinetics(phantom.study, core)
        assert found.ser == pytest.approx(phantom.kinetics["ser"], rel=0.15)
        assert found.type == (3 if kind == "malignant" else 1)


def test_one_phase_and_empty_regions_are_refused() -> None:
    study = curve_study([1, 2], None)
    with pytest.raises(DataError, match="one phase"):
        kinetic_maps(replace(study, phases=study.phases[:1]))
    with pytest.raises(DataError, match="empty region"):
        region_kinetics(study, np.zeros((3, 3, 3), bool))


def test_a_sphere_is_measured_in_millimetres() -> None:
    study = make_phantom(0).study
    center = study.to_mm((30, 20, 6))
    mask = sphere(study, center, 9.0)
    assert mask[32, 20, 6]
    assert mask[30, 20, 7]
    assert not mask[33, 20, 6]
    assert not mask[30, 20, 8]
    with pytest.raises(DataError, match="outside"):
        sphere(study, study.to_mm((-5, 0, 0)), 3.0)


def test_wash_in_tells_the_order_of_phases() -> None:
    study = make_phantom(0).study
    assert min(wash_in(study)) > 0.05
    assert min(wash_in(replace(study, phases=study.phases[::-1].copy()))) < -0.05
    assert wash_in(replace(study, phases=study.phases[:1], times_s=None)) == ()
    assert np.isnan(wash_in(replace(study, phases=study.phases * 0))).all()
