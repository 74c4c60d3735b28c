from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.mslaunet.predict.known import RoundNine, loaded, predictor
from torch import nn

from mslaunet._shared.errors import CheckpointError, DataError
from mslaunet._shared.io.volumes import new_volume
from mslaunet.data.loading import slices_first, slices_last
from mslaunet.predict import find_cases, load_predictor
from mslaunet.synth import disc_labels, tilted_affine


def test_the_known_answer_comes_back_voxel_by_voxel() -> None:
    labels = np.random.default_rng(0).integers(0, 9, (7, 40, 56)).astype(np.uint8)
    assert np.array_equal(predictor().predict(loaded(labels)), labels)


def test_the_batch_size_does_not_change_the_answer() -> None:
    labels = np.random.default_rng(1).integers(0, 9, (7, 16, 16)).astype(np.uint8)
    one = replace(predictor(), batch_size=1).predict(loaded(labels))
    assert np.array_equal(one, predictor().predict(loaded(labels)))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 300), (1, 33, 47)])
def test_any_size_comes_back_at_its_size(shape: tuple[int, int, int]) -> None:
    assert predictor(plan={"pixel_mm": 2.0}).predict(loaded(np.zeros(shape, np.uint8))).shape == shape


def test_discs_survive_the_network_grid() -> None:
    labels = np.repeat(disc_labels(256)[None], 2, axis=0)
    coarse = predictor(plan={"pixel_mm": 1.5}).predict(loaded(labels))
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


def test_channels_of_2d_images_in_separate_files_belong_together(tmp_path: Path) -> None:
    for name in ("a_0000.png", "a_0001.png", "b_0000.png", "b_0001.png"):
        (tmp_path / name).write_bytes(b"")
    cases = find_cases(tmp_path, 2)
    assert [(case.case_id, len(case.images)) for case in cases] == [("a", 2), ("b", 2)]


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


@pytest.mark.parametrize(
    "options", [{"window_px": 32}, {"tta": "flips"}, {"window_px": 48, "overlap": 0.2, "tta": "flips"}]
)
def test_windows_and_mirrored_views_keep_the_known_answer(options: dict[str, object]) -> None:
    labels = np.random.default_rng(2).integers(0, 9, (3, 70, 56)).astype(np.uint8)
    assert np.array_equal(predictor(**options).predict(loaded(labels)), labels)


def test_scaled_views_keep_large_discs() -> None:
    labels = np.repeat(disc_labels(256)[None], 2, axis=0)
    assert np.mean(predictor(tta="all").predict(loaded(labels)) == labels) > 0.97


def test_an_ensemble_averages_its_models() -> None:
    class Fixed(nn.Module):
        def __init__(self, label: int, logit: float) -> None:
            super().__init__()
            self.label, self.logit = label, logit

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(image.shape[0], 9, *image.shape[-2:])
            logits[:, self.label] = self.logit
            return logits

    case = loaded(np.zeros((1, 4, 4), np.uint8))
    pair = predictor(Fixed(2, 3.0), others=(Fixed(5, 6.0),))
    assert pair.members == 2
    assert set(pair.predict(case).ravel()) == {5}  # the surer one
    result = pair.segment(case, maps=("mutual_information", "variance", "entropy", "confidence"))
    assert result.maps["mutual_information"].min() > 0.05
    alone = predictor(Fixed(2, 3.0)).segment(case, maps=("mutual_information", "variance"))
    assert alone.maps["mutual_information"].max() == pytest.approx(0, abs=1e-6)
    assert alone.maps["variance"].max() == pytest.approx(0, abs=1e-6)


def test_a_slice_sees_its_neighbours() -> None:
    """2.5-D: the middle channel is the slice, the first one the slice below it."""

    class Below(RoundNine):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return super().forward(image[:, :1])

    labels = np.arange(7, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    middle = replace(predictor(plan={"context_slices": 1}), batch_size=2)
    below = replace(predictor(Below(), plan={"context_slices": 1}), batch_size=2)
    assert np.array_equal(middle.predict(loaded(labels)), labels)
    assert below.predict(loaded(labels))[:, 0, 0].tolist() == [0, 0, 1, 2, 3, 4, 5]


def test_slabs_of_a_zscore_case_share_the_statistics_of_the_case() -> None:
    image = np.random.default_rng(0).normal(100, 30, (1, 6, 8, 8)).astype(np.float32)
    case = dataclasses.replace(loaded(np.zeros((6, 8, 8), np.uint8)), image=image)
    plan = {"intensity": "zscore"}
    slabs = [replace(predictor(plan=plan), batch_size=n).predict(case) for n in (1, 6)]
    assert np.array_equal(*slabs)


def test_probabilities_of_every_slab_are_handed_out() -> None:
    labels = np.random.default_rng(3).integers(0, 9, (5, 6, 7)).astype(np.uint8)
    volume = np.zeros((5, 9, 6, 7), np.float32)

    def keep(start: int, probs: np.ndarray) -> None:
        volume[start : start + len(probs)] = probs

    replace(predictor(RoundNine(40)), batch_size=2).segment(loaded(labels), probabilities=keep)
    assert np.array_equal(volume.argmax(1), labels)
    assert volume.sum(1) == pytest.approx(1, abs=1e-5)


def test_the_predicted_dice_is_the_dice_where_probabilities_are_right() -> None:
    """Pixels that are class 1 with probability 0.8 and are called class 1: Dice of 2 * 0.8 / (1 + 0.8) expected."""

    class Unsure(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            probs = torch.full((image.shape[0], 9, *image.shape[-2:]), 1e-9)
            probs[:, 1], probs[:, 0] = 0.8, 0.2
            return probs.log()

    result = predictor(Unsure()).segment(loaded(np.zeros((2, 8, 8), np.uint8)))
    assert result.predicted_dice == pytest.approx({1: 2 * 0.8 / 1.8}, rel=1e-5)


def test_cutting_to_labels_before_the_resize_is_a_named_switch_and_worse() -> None:
    """T8: label maps brought from 224 to 512 by nearest neighbour lose the outline that probabilities keep."""
    disc = np.hypot(*(np.mgrid[:512, :512] - 255.5)) <= 8
    labels = np.where(disc, 9, 0)[None].astype(np.uint8)
    late, early = (
        predictor(plan={"resize_px": 224, "argmax_before_resize": switch}).predict(loaded(labels))[0] > 4
        for switch in (False, True)
    )
    dice = [2 * np.count_nonzero(p & disc) / (np.count_nonzero(p) + np.count_nonzero(disc)) for p in (late, early)]
    assert dice[0] > dice[1] + 0.01
    blocks = early[255:257, :].any(0)  # runs of a nearest-zoomed row end only where a coarse pixel ends
    assert blocks.any()


def test_bf16_changes_the_answer_hardly() -> None:
    from mslaunet.model import MSLAUNet

    torch.manual_seed(0)
    model = MSLAUNet.variant("tiny", 9, 1)
    labels = np.repeat(disc_labels(64)[None], 2, axis=0)
    exact, rounded = (predictor(model, precision=p).predict(loaded(labels)) for p in ("fp32", "bf16"))
    assert np.mean(exact == rounded) > 0.9


def test_folding_changes_nothing_but_the_time(volume_model: Path, volumes: Path) -> None:
    from mslaunet.data.loading import load_case

    case = load_case(find_cases(volumes / "imagesTr", 1)[0], num_channels=1, num_classes=9)
    whole, folded = (load_predictor(volume_model, device="cpu", fold=fold) for fold in (False, True))
    norms = [sum(isinstance(m, nn.BatchNorm2d) for m in one.model.modules()) for one in (whole, folded)]
    assert norms[0] > norms[1] == 0
    assert np.mean(whole.predict(case) == folded.predict(case)) > 0.999
