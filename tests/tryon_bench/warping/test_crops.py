"""Crops: the same for any size and place, mirrored consistently, and mapped back exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tryon_bench.data.open import open_dataset
from tryon_bench.engine.images import decode
from tryon_bench.methods.baselines import box_map
from tryon_bench.methods.conditions import conditions_of
from tryon_bench.methods.interface import Conditions
from tryon_bench.synth.garments import OUTLINES, polygon
from tryon_bench.synth.write import write_synthetic
from tryon_bench.warping.config import WarpNetConfig
from tryon_bench.warping.crops import (
    GARMENT_CHANNELS,
    JOINTS,
    PERSON_CHANNELS,
    cut,
    into_frame,
    make_crops,
    mirrored_person,
    out_of_frame,
)
from tryon_bench.warping.method import predicted_map
from tryon_bench.warping.model import WarpNet


def conditions_at(size: tuple[int, int], joints: np.ndarray | None = None) -> Conditions:
    target = polygon(OUTLINES["upper_body"] * [0.5, 0.4] + [0.2, 0.3], size)
    none = np.zeros(size, bool)
    return Conditions(
        "a", "upper_body", polygon(OUTLINES["upper_body"], size), target, target, none, none, joints, 0, {}
    )


def test_a_pair_of_twice_the_size_gives_the_same_crops() -> None:
    crops = []
    for scale in (1, 2):
        size = (160 * scale, 120 * scale)
        image = np.full((*size, 3), 90, np.uint8)
        crops.append(make_crops(image, conditions_at(size), 64))
    assert crops[0].person.shape == (PERSON_CHANNELS, 64, 64)
    assert crops[0].garment.shape == (GARMENT_CHANNELS, 64, 64)
    assert np.abs(crops[0].person - crops[1].person).mean() < 0.01
    assert np.abs(crops[0].garment - crops[1].garment).mean() < 0.01


def test_points_come_back_from_a_frame() -> None:
    points = np.random.default_rng(0).uniform(size=(9, 2))
    frame = (-0.1, 0.2, 0.7, 0.5)
    np.testing.assert_allclose(out_of_frame(into_frame(points, frame), frame), points, atol=1e-12)


def test_a_frame_beyond_the_picture_is_filled_with_zeros() -> None:
    found = cut(np.ones((8, 8), np.float32), (-0.5, 0.0, 1.0, 1.0), 8)
    np.testing.assert_array_equal(found, np.repeat([[0.0] * 4 + [1.0] * 4], 8, axis=0))


def test_a_mirrored_person_has_her_right_joints_on_the_other_side() -> None:
    joints = np.full((18, 3), np.nan)
    joints[2] = [40, 70, 1]  # right shoulder
    person = make_crops(np.zeros((160, 120, 3), np.uint8), conditions_at((160, 120), joints), 32).person
    right, left = (3 + JOINTS.index(f"{side} shoulder") for side in ("right", "left"))
    turned = mirrored_person(person)
    assert person[right].max() > 0.9
    assert person[left].max() == 0
    np.testing.assert_array_equal(turned[left], person[right][:, ::-1])
    assert turned[right].max() == 0
    np.testing.assert_array_equal(turned[0], person[0][:, ::-1])
    np.testing.assert_array_equal(mirrored_person(turned), person)


@pytest.mark.parametrize("size", [(64, 48), (160, 120)])
def test_before_training_the_network_is_copy_paste(size: tuple[int, int], tmp_path: Path) -> None:
    write_synthetic("vitonhd", tmp_path / "set", cases=2, size=size)
    net = WarpNet(WarpNetConfig(side_px=32, width=4))
    for sample in open_dataset(tmp_path / "set").samples:
        person, garment = decode(sample.person), decode(sample.garment)
        conditions = conditions_of(sample, person, garment, 0)
        np.testing.assert_allclose(predicted_map(net, 32, garment, conditions), box_map(conditions), atol=1e-6)
