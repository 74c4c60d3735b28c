from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mslaunet._shared.errors import ConfigError, DataError
from mslaunet.config import DataConfig
from mslaunet.data.dataset import Case, Dataset
from mslaunet.preprocess import Preprocessing, plan_preprocessing, resize_labels, resize_planes


def _dataset(channels: tuple[str, ...], name: str) -> Dataset:
    return Dataset(Path(), "nnunet", {0: "background", 1: "organ"}, channels, (Case("a", (Path(name),)),))


@pytest.mark.parametrize(
    ("channels", "name", "expected"),
    [(("CT",), "a.nii.gz", "window"), (("T1", "T2"), "a.nii.gz", "zscore"), (("red",) * 3, "a.png", "unit")],
)
def test_automatic_intensity(channels: tuple[str, ...], name: str, expected: str) -> None:
    plan = plan_preprocessing(_dataset(channels, name), DataConfig(root=Path(), pixel_mm=2.0))
    assert plan.intensity == expected
    assert plan.pixel_mm == (None if name.endswith("png") else 2.0)


def test_window_maps_its_ends_to_the_ends_of_the_range() -> None:
    plan = Preprocessing(intensity="window", num_channels=1)
    values = np.array([-1000, -125, 75, 275, 3000], np.float32).reshape(1, 1, 1, 5)
    assert plan.normalise(values).ravel().tolist() == [-1, -1, 0, 1, 1]


def test_a_constant_case_gives_zeros_not_nan() -> None:
    plan = Preprocessing(intensity="zscore", num_channels=1)
    assert np.array_equal(plan.normalise(np.full((1, 2, 3, 3), 7, np.float32)), np.zeros((1, 2, 3, 3)))


def test_plane_size_follows_the_spacing() -> None:
    plan = Preprocessing(intensity="window", num_channels=1, pixel_mm=3.0)
    assert plan.plane_size((512, 400), (0.703125, 1.5)) == (120, 200)


def test_resizing_keeps_the_last_row_and_column() -> None:
    """scipy.ndimage.zoom zeroes them from 512 to 224 (row T5 of the spec)."""
    labels = resize_labels(np.ones((1, 512, 512), np.uint8), (224, 224))
    planes = resize_planes(np.ones((1, 1, 512, 512), np.float32), (224, 224))
    assert labels.min() == 1
    assert planes.min() == pytest.approx(1)


def test_labels_survive_a_round_trip_of_an_integer_factor() -> None:
    labels = np.random.default_rng(0).integers(0, 5, (2, 16, 16)).astype(np.uint8)
    assert np.array_equal(resize_labels(resize_labels(labels, (48, 48)), (16, 16)), labels)


def test_a_window_in_hu_is_refused_for_photographs() -> None:
    with pytest.raises(ConfigError, match=r"window is in HU"):
        plan_preprocessing(_dataset(("grey",), "a.png"), DataConfig(root=Path(), intensity="window"))


def test_pixels_too_small_for_any_memory_are_refused() -> None:
    plan = Preprocessing(intensity="window", num_channels=1, pixel_mm=1e-4)
    with pytest.raises(ConfigError, match=r"pixel_mm 0.0001 makes slices of 4480000 x 4480000 pixels"):
        plan.plane_size((560, 560), (0.8, 0.8))


@pytest.mark.parametrize(
    ("intensity", "is_volume", "message"),
    [("window", False, "photo: a 2-D image"), ("unit", True, "photo: intensities from -1000 to 1000")],
)
def test_an_image_of_the_other_kind_is_refused(intensity: str, is_volume: bool, message: str) -> None:
    image = np.array([-1000, 1000], np.float32).reshape(1, 1, 1, 2)
    with pytest.raises(DataError, match=message):
        Preprocessing(intensity=intensity, num_channels=1).require_kind(image, "photo", is_volume=is_volume)
