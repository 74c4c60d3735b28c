"""Landmarks, the known warp, the controls, and ways of composing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tryon_bench._shared.errors import ConfigError, DataError
from tryon_bench._shared.io.images import read_image
from tryon_bench.data.open import open_dataset
from tryon_bench.methods.baselines import box_map
from tryon_bench.methods.catalogue import WarpMethod, get_method
from tryon_bench.methods.compose import Compose, composed
from tryon_bench.methods.conditions import conditions_of
from tryon_bench.methods.contour import contour_spline
from tryon_bench.methods.interface import Conditions, Image
from tryon_bench.methods.keypoint_warps import affine, keypoint_spline
from tryon_bench.methods.known import read_known_warp
from tryon_bench.methods.landmarks import body_landmarks, garment_landmarks, matched_landmarks
from tryon_bench.metrics import end_point_error
from tryon_bench.synth.garments import OUTLINES, polygon
from tryon_bench.synth.write import write_synthetic
from tryon_bench.tps import dense_map

SIZE = (160, 120)
Case = tuple[Image, Image, Conditions]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("warps") / "set"
    write_synthetic("dresscode", root, cases=9, size=SIZE)
    return root


@pytest.fixture(scope="module")
def cases(root: Path) -> list[Case]:
    found = []
    for sample in open_dataset(root).samples:
        person, garment = read_image(sample.person).array, read_image(sample.garment).array
        found.append((person, garment, conditions_of(sample, person, garment, 0)))
    return found


def upper(cases: list[Case]) -> list[Case]:
    return [case for case in cases if case[2].category == "upper_body"]


def error(where: np.ndarray, conditions: Conditions) -> float:
    assert conditions.known_warp is not None
    return end_point_error(where, dense_map(read_known_warp(conditions.known_warp), SIZE), conditions.target, SIZE)


def test_a_shirt_has_all_landmarks_where_they_were_drawn(cases: list[Case]) -> None:
    found = garment_landmarks(upper(cases)[0][2])
    expected = {  # the drawn outline's corners, and points that follow from them
        **{"neck": (0.5, 0.12), "left shoulder": (0.2, 0.12), "right shoulder": (0.8, 0.12), "hem": (0.5, 0.94)},
        **{"left sleeve top": (0.03, 0.34), "right sleeve top": (0.97, 0.34), "left sleeve end": (0.16, 0.42)},
        **{"right sleeve end": (0.84, 0.42), "left armpit": (0.22, 0.33), "right armpit": (0.78, 0.33)},
        **{"left hem": (0.23, 0.94), "right hem": (0.77, 0.94), "left waist": (0.225, 0.635)},
        "right waist": (0.775, 0.635),
    }
    assert found.keys() == expected.keys()
    for name, at in expected.items():
        assert found[name] == pytest.approx(at, abs=0.025), name


def test_a_skirt_has_no_sleeves_and_is_placed_by_the_hips(cases: list[Case]) -> None:
    conditions = next(case[2] for case in cases if case[2].category == "lower_body")
    assert not any("sleeve" in name for name in garment_landmarks(conditions))
    assert conditions.keypoints is not None
    placed = body_landmarks(conditions)["left shoulder"] * [SIZE[1], SIZE[0]]
    assert np.hypot(*(placed - conditions.keypoints[8, :2])) < 0.1 * SIZE[0]


def test_landmarks_do_without_joints_and_say_so_where_too_little_is_left(cases: list[Case]) -> None:
    conditions = replace(upper(cases)[0][2], keypoints=None)
    names, body, shop = matched_landmarks(conditions)
    assert "left hem" in names
    assert body.shape == shop.shape == (len(names), 2)
    with pytest.raises(DataError, match=r"landmarks .* are seen on garment and person, expected 20"):
        matched_landmarks(conditions, least=20)


def test_landmarks_bend_the_garment_closer_to_the_truth_than_scaling_it(cases: list[Case]) -> None:
    """Over the three categories; the order of all methods on more persons is in test_ordering."""
    bent = np.mean([error(dense_map(keypoint_spline(c), SIZE), c) for _, _, c in cases])
    scaled = np.mean([error(box_map(c), c) for _, _, c in cases])
    assert bent < scaled


@pytest.mark.parametrize(
    ("method_id", "share"), [("affine", 0.3), ("tps_keypoints", 0.3), ("tps_contour", 0.4), ("flow", 0.75)]
)
def test_a_garment_that_is_only_sheared_and_scaled_is_found_by_every_warp(method_id: str, share: float) -> None:
    """The error left is that share of the box's: the flow's few steps come half of the way."""
    shear = np.array([[0.6, 0.05], [-0.1, 0.5]])
    shift = np.array([0.25, 0.2])
    shape = polygon(OUTLINES["upper_body"], SIZE)
    target = polygon(OUTLINES["upper_body"] @ shear + shift, SIZE)
    none = np.zeros(SIZE, bool)
    conditions = Conditions("a", "upper_body", shape, target, target, none, none, None, 0, {})
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    pixels = np.stack([(columns + 0.5) / SIZE[1], (rows + 0.5) / SIZE[0]], axis=2)
    truth = (pixels - shift) @ np.linalg.inv(shear)
    image = np.zeros((*SIZE, 3), np.uint8)
    method = get_method(method_id)
    assert isinstance(method, WarpMethod)
    found = end_point_error(method.warp(image, image, conditions), truth, target, SIZE)
    assert found < share * end_point_error(box_map(conditions), truth, target, SIZE)


@pytest.mark.parametrize("category", sorted(OUTLINES))
def test_a_garment_that_is_only_flattened_is_found_by_its_outline(category: str) -> None:
    flat, shift = np.array([0.6, 0.25]), np.array([0.2, 0.5])
    shape, target = polygon(OUTLINES[category], SIZE), polygon(OUTLINES[category] * flat + shift, SIZE)
    none = np.zeros(SIZE, bool)
    conditions = Conditions("a", category, shape, target, target, none, none, None, 0, {})
    truth = (dense_map(lambda points: points, SIZE) - shift) / flat
    assert end_point_error(dense_map(contour_spline(conditions), SIZE), truth, target, SIZE) < 1.2


def test_an_affine_map_without_landmarks_is_the_box(cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    person, garment, conditions = cases[0]
    monkeypatch.setattr("tryon_bench.methods.keypoint_warps.body_landmarks", lambda conditions: {})
    np.testing.assert_array_equal(affine(person, garment, conditions), box_map(conditions))


def test_the_known_warp_has_no_error_in_any_category_and_misses_only_light(cases: list[Case]) -> None:
    for person, garment, conditions in cases:
        method = get_method("oracle_warp")
        assert isinstance(method, WarpMethod)
        assert error(method.warp(person, garment, conditions), conditions) == 0
        gap = np.abs(method(person, garment, conditions).astype(int) - person)[conditions.target].mean()
        pasted = np.abs(get_method("copy_paste")(person, garment, conditions).astype(int) - person)
        assert gap < pasted[conditions.target].mean()
    with pytest.raises(DataError, match="needs the known warp in warp_gt/, which only data of"):
        get_method("oracle_warp")(person, garment, replace(conditions, known_warp=None))


def test_a_damaged_known_warp_is_one_clear_line(tmp_path: Path) -> None:
    whole = {"targets": np.zeros((4, 2)), "weights": np.zeros((4, 2)), "affine": np.zeros((3, 2))}
    np.savez(tmp_path / "whole.npz", **whole)
    assert len(read_known_warp(tmp_path / "whole.npz").centres) == 4
    content = (tmp_path / "whole.npz").read_bytes()
    for damaged in (b"", b"no archive", content[:30], content[:300]):
        (tmp_path / "a.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.npz: no warp of `tryon-bench synth`"):
            read_known_warp(tmp_path / "a.npz")
    for odd in ({"targets": np.zeros(3)}, {"weights": np.zeros((3, 2))}, {"affine": np.full((3, 2), np.nan)}):
        np.savez(tmp_path / "a.npz", **{**whole, **odd})
        with pytest.raises(DataError, match=r"expected finite arrays \(n, 2\), \(n, 2\) and \(3, 2\)"):
            read_known_warp(tmp_path / "a.npz")


def test_the_oracle_knows_the_answer_of_the_paired_setting_only(root: Path, cases: list[Case]) -> None:
    person, garment, conditions = cases[0]
    np.testing.assert_array_equal(get_method("oracle")(person, garment, conditions), person)
    sample = open_dataset(root, setting="unpaired").samples[0]
    with pytest.raises(DataError, match="exists in the paired setting only"):
        get_method("oracle")(person, garment, conditions_of(sample, person, garment, 0))


def test_harmonic_filling_ignores_the_garment(cases: list[Case]) -> None:
    person, garment, conditions = cases[0]
    fill = get_method("diffuse_inpaint")
    np.testing.assert_array_equal(fill(person, garment, conditions), fill(person, 255 - garment, conditions))


@pytest.mark.parametrize("compose", get_args(Compose))
def test_every_way_of_composing_leaves_the_photo_alone_outside_and_differs_inside(
    compose: Compose, cases: list[Case]
) -> None:
    person, garment, conditions = cases[0]
    result = composed(person, garment, box_map(conditions), conditions, compose)
    np.testing.assert_array_equal(result[~conditions.hole], person[~conditions.hole])
    pasted = composed(person, garment, box_map(conditions), conditions)
    assert (compose == "paste") == bool((result == pasted).all())


@pytest.mark.parametrize("compose", ["feather", "poisson", "pyramid"])
def test_a_garment_does_not_fade_or_take_colour_where_an_arm_lies_on_it(compose: Compose) -> None:
    conditions = Conditions(
        "a", "upper_body", np.ones((40, 40), bool), *(np.zeros((40, 40), bool) for _ in range(5)), None, 0, {}
    )  # fmt: skip
    conditions.target[5:35, 5:35] = conditions.repaint[5:35, 5:35] = True
    conditions.keep[:, 18:22] = True
    person = np.full((40, 40, 3), 90, np.uint8)
    person[:, 18:22] = 250
    where = np.stack(np.meshgrid((np.arange(40) + 0.5) / 40, (np.arange(40) + 0.5) / 40), axis=2)
    result = composed(person, np.full((40, 40, 3), 90, np.uint8), where, conditions, compose)
    np.testing.assert_array_equal(
        result, person
    )  # the garment has the background's colour, and the arm none of it


def test_the_way_of_composing_is_part_of_the_version_and_only_warps_have_one() -> None:
    assert get_method("flow").version == "1"
    assert get_method("flow", "poisson").version == "1+poisson"
    with pytest.raises(ConfigError, match="--compose feather: mean_fill warps no garment"):
        get_method("mean_fill", "feather")
