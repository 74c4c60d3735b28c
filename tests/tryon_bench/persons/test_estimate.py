"""MediaPipe's models find the astronaut, and what they give becomes masks and COCO-18."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tryon_bench._shared.errors import DataError
from tryon_bench.persons import models
from tryon_bench.persons.estimate import Pose, estimate_pose, person_mask
from tryon_bench.persons.models import Network
from tryon_bench.synth.garments import real_photo

ASSETS = ("mediapipe-pose", "mediapipe-selfie-segmentation")


@pytest.fixture(scope="module")
def photo(asset: Callable[[str], Path]) -> np.ndarray:
    for name in ASSETS:
        asset(name)
    return real_photo("astronaut")


@pytest.mark.assets
def test_the_mask_has_the_astronaut_and_not_the_shuttle(photo: np.ndarray) -> None:
    mask = person_mask(photo)
    assert mask.shape == photo.shape[:2]
    assert mask[60:180, 180:270].mean() > 0.95  # head and neck
    assert mask[300:500, 60:280].mean() > 0.95  # suit
    assert mask[:300, 380:].mean() < 0.05  # shuttle
    assert mask[:150, :120].mean() < 0.05  # flag


@pytest.mark.assets
@pytest.mark.parametrize("model", ["lite", "full", "heavy"])
def test_joints_are_where_they_are_seen(photo: np.ndarray, model: models.PoseModel) -> None:
    pose = estimate_pose(photo, model=model)
    joints = pose.coco18((512, 512))
    assert pose.score > 0.9
    nose, neck, right, left = joints[[0, 1, 2, 5], :2]
    assert np.hypot(*(nose - [225, 122])) < 15
    assert 60 < right[0] < 140
    assert 270 < left[0] < 350
    assert all(190 < y < 290 for y in (right[1], left[1]))
    np.testing.assert_allclose(neck, (right + left) / 2)
    assert joints[14, 0] < nose[0] < joints[15, 0]  # her right eye is on the left
    assert np.isnan(joints[[9, 10, 12, 13], 0]).all()  # knees and ankles are not in the photo


@pytest.mark.assets
def test_a_mirrored_photo_gives_mirrored_joints(photo: np.ndarray) -> None:
    plain = estimate_pose(photo).landmarks
    mirrored = estimate_pose(np.ascontiguousarray(photo[:, ::-1])).landmarks
    for left, right in ((11, 12), (2, 5), (7, 8)):
        assert np.hypot(*(plain[left, :2] - [511 - mirrored[right, 0], mirrored[right, 1]])) < 30


@pytest.mark.assets
def test_a_photo_of_another_size_gives_the_same_joints(photo: np.ndarray) -> None:
    large = np.repeat(np.repeat(photo, 3, axis=0), 3, axis=1)
    np.testing.assert_allclose(
        estimate_pose(large).landmarks[[0, 11, 12], :2] / 3,
        estimate_pose(photo).landmarks[[0, 11, 12], :2],
        atol=12,
    )


@pytest.mark.assets
def test_nobody_is_an_error_that_names_the_photo(photo: np.ndarray) -> None:
    empty = np.full((300, 200, 3), 127, np.uint8)
    with pytest.raises(DataError, match=r"wall\.jpg: MediaPipe sees no person"):
        person_mask(empty, "wall.jpg")


@pytest.mark.assets
def test_joints_of_one_person_in_the_outline_of_another_are_refused(photo: np.ndarray) -> None:
    two = np.concatenate([photo, photo[:, ::-1]], axis=1)
    with pytest.raises(DataError, match=r"two\.jpg: only \d+% of MediaPipe's joints lie in the person's outline"):
        estimate_pose(two, name="two.jpg")


def test_landmarks_become_coco_18_with_a_neck_and_gaps() -> None:
    landmarks = np.stack([np.arange(33.0), np.arange(33.0) * 2, np.zeros(33)], axis=1)
    visibility = np.ones(33)
    visibility[16] = 0.2  # right wrist hidden
    joints = Pose(landmarks, visibility, 1.0).coco18((50, 40))
    np.testing.assert_array_equal(joints[[0, 2, 5, 8, 11, 14, 17], 0], [0, 12, 11, 24, 23, 5, 7])
    np.testing.assert_allclose(joints[1], [11.5, 23, 1])
    assert np.isnan(joints[4, :2]).all()
    assert joints[4, 2] == 0
    assert np.isnan(joints[9, 0])  # landmark 26 lies at y 52, below the photo


def test_absent_models_are_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QUARTET_CACHE", str(tmp_path))
    models.segmentation_network.cache_clear()
    with pytest.raises(DataError, match=r"mediapipe-selfie-segmentation.*assets fetch"):
        person_mask(np.zeros((8, 8, 3), np.uint8))


def test_another_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "pose.tflite").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"pose\.tflite: no tflite model"):
        Network(tmp_path / "pose.tflite")
