from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mslaunet._shared.errors import CheckpointError, DataError
from mslaunet._shared.io.volumes import new_volume
from mslaunet.data.loading import LoadedCase, slices_first, slices_last
from mslaunet.predict import Predictor, find_cases, load_predictor
from mslaunet.preprocess import Preprocessing
from mslaunet.synth import disc_labels, tilted_affine


class RoundNine(nn.Module):
    """The known-answer network: class = round(9 * intensity), for normalised intensities in [-1, 1]."""

    def forward(self, image: Tensor) -> Tensor:
        value = (image[:, 0] + 1) / 2 * 9
        return -((value[:, None] - torch.arange(9.0)[None, :, None, None]) ** 2)


def _predictor(**plan: object) -> Predictor:
    preprocessing = Preprocessing(intensity="window", num_channels=1, **plan)
    classes = {i: f"class_{i}" for i in range(9)}
    return Predictor(RoundNine().eval(), preprocessing, classes, {}, torch.device("cpu"), batch_size=3)


def _loaded(labels: np.ndarray) -> LoadedCase:
    image = (labels / 9 * 400 - 125).astype(np.float32)
    return LoadedCase(image[None], None, (5.0, 0.7, 0.8), None)


def test_the_known_answer_comes_back_voxel_by_voxel() -> None:
    labels = np.random.default_rng(0).integers(0, 9, (7, 40, 56)).astype(np.uint8)
    assert np.array_equal(_predictor().predict(_loaded(labels)), labels)


def test_the_batch_size_does_not_change_the_answer() -> None:
    from dataclasses import replace

    labels = np.random.default_rng(1).integers(0, 9, (7, 16, 16)).astype(np.uint8)
    one = replace(_predictor(), batch_size=1).predict(_loaded(labels))
    assert np.array_equal(one, _predictor().predict(_loaded(labels)))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 300), (1, 33, 47)])
def test_any_size_comes_back_at_its_size(shape: tuple[int, int, int]) -> None:
    assert _predictor(pixel_mm=2.0).predict(_loaded(np.zeros(shape, np.uint8))).shape == shape


def test_discs_survive_the_network_grid() -> None:
    labels = np.repeat(disc_labels(256)[None], 2, axis=0)
    coarse = _predictor(pixel_mm=1.5).predict(_loaded(labels))
    assert np.mean(coarse == labels) > 0.97


def test_slices_first_and_last_are_inverse() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    assert slices_first(array).shape == (4, 3, 2)
    assert np.array_equal(slices_last(slices_first(array)), array)


def test_channel_files_of_one_case_belong_together(tmp_path: Path) -> None:
    for name in ("a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    cases = find_cases(tmp_path, 2)
    assert [(case.case_id, len(case.images)) for case in cases] == [("a", 2), ("b", 2)]


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    for name in ("a_0000.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="a: found 1 files, the model needs 2"):
        find_cases(tmp_path, 2)


def test_numbered_photographs_are_cases_of_their_own(tmp_path: Path) -> None:
    for name in ("img_0001.png", "img_0002.png"):
        (tmp_path / name).write_bytes(b"")
    assert [case.case_id for case in find_cases(tmp_path, 3)] == ["img_0001", "img_0002"]


def test_a_model_of_another_package_is_refused(tmp_path: Path) -> None:
    from mslaunet._shared.checkpoints import save_model

    save_model(tmp_path / "other", {"w": torch.zeros(1)}, {"package": "breastmri"})
    with pytest.raises(CheckpointError, match="other: not an mslaunet model"):
        load_predictor(tmp_path / "other")


def test_the_tilted_grid_is_really_tilted() -> None:
    volume = new_volume(np.zeros((4, 5, 6), np.uint8), tilted_affine())
    assert volume.source.orientation == "LAS"
    assert abs(volume.affine[2, 1]) > 0.1
