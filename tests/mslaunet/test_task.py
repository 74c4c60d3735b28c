"""The task: samples, losses and validation, with the official defects only under their switches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.mslaunet.conftest import TINY
from torch import nn
from typer.testing import Result

from mslaunet._shared.checkpoints import load_model
from mslaunet._shared.order import generator
from mslaunet.config import Config, DataConfig
from mslaunet.data.slices import PreparedCase, PreparedCases, SliceSplit
from mslaunet.preprocess import Preprocessing
from mslaunet.task import SegmentationTask, class_dice, confusion_matrix

Run = Callable[..., Result]


class Brightness(nn.Module):
    """Logit of class 1 grows with the intensity of the middle channel; -10 x and 10 x."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        middle = image[:, image.shape[1] // 2]
        return torch.stack([-middle, middle], 1) * self.scale


def _task(cases: int = 3, *, side: int = 32, native: int | None = None, **settings: dict) -> SegmentationTask:
    """Cases of two slices; bright squares are class 1; the last case validates."""
    prepared = []
    for number in range(cases):
        mask = np.zeros((2, native or side, native or side), np.uint16)
        mask[:, 4 : 12 + number, 4:14] = 1
        image = np.where(mask, 0.5, -0.5).astype(np.float32)[None]
        prepared.append(PreparedCase(f"c{number}", "", image, mask, f"p{number}"))
    pairs = [(c, z) for c in range(cases) for z in range(2)]
    split = SliceSplit(tuple(pairs[:-2]), tuple(pairs[-2:]), "cases")
    data = {"side_px": side} | settings.pop("data", {})
    config = Config(data=DataConfig(root=Path("set"), **data), **settings)
    plan = Preprocessing(
        intensity="unit",
        num_channels=1,
        resize_px=config.data.resize_px,
        zoom_edge=config.compat.zoom_edge,
        context_slices=config.data.context_slices,
    )
    saved = {"classes": {"0": "background", "1": "organ"}}
    return SegmentationTask(Brightness(), PreparedCases(tuple(prepared), {}), split, config, plan, saved)


def _batches(task: SegmentationTask, epochs: int, seed: int = 0) -> list[torch.Tensor]:
    """The training images of some epochs, augmented as the loop does."""
    indices = list(range(task.train_size()))
    return [
        task.batch(indices, [generator(seed, "sample", epoch, i) for i in indices])["image"]
        for epoch in range(epochs)
    ]


def test_no_augmentation_is_ever_replayed() -> None:
    """T3: every epoch and every sample has its own draw; the order of asking (workers) changes nothing."""
    task = _task()
    first, second = _batches(task, 2)
    assert len({image.numpy().tobytes() for image in (*first, *second)}) == len(first) + len(second)
    backwards = task.batch([3, 2, 1, 0], [generator(0, "sample", 1, i) for i in (3, 2, 1, 0)])["image"]
    assert torch.equal(backwards.flip(0), second)


def test_replayed_augmentation_is_a_named_switch() -> None:
    """T3: one draw in all makes every epoch the same."""
    first, second = _batches(_task(compat={"replayed_draws": 1}), 2)
    assert torch.equal(first, second)


@pytest.mark.parametrize("switch", [False, True])
def test_noise_leaves_the_range_only_under_its_switch(switch: bool) -> None:
    """T4."""
    task = _task(augment={"kind": "synapse", "noise": 0.01}, compat={"unscaled_noise": switch})
    extremes = torch.stack(_batches(task, 40)).abs().max()
    assert (extremes > 3) == switch


@pytest.mark.parametrize("switch", [False, True])
def test_training_slices_lose_their_edge_only_under_the_switch(switch: bool) -> None:
    """T5, where slices are augmented at 512 and then resized to 224."""
    task = _task(
        2,
        side=224,
        native=512,
        data={"resize_px": 224},
        augment={"kind": "none", "before_resize": True},
        compat={"zoom_edge": switch},
    )
    image = _batches(task, 1)[0]
    assert image.shape[-2:] == (224, 224)
    assert bool((image[:, :, -1] == -1).all()) == switch


def test_a_sample_carries_its_neighbours() -> None:
    task = _task(data={"context_slices": 1}, augment={"kind": "none"})
    assert _batches(task, 1)[0].shape[1] == 3


def test_deep_supervision_adds_the_mean_loss_of_the_levels() -> None:
    task = _task(loss={"auxiliary": 0.5})
    plain = task.model

    class Levels(nn.Module):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            logits = plain(image)
            return logits, logits, torch.zeros_like(logits)

    batch = task.batch([0, 1], [np.random.default_rng(i) for i in range(2)])
    alone = task.loss(batch)
    task.model = Levels()
    parts = task.loss(batch)
    empty = task.criterion(torch.zeros(2, 2, 32, 32), batch["mask"])["loss"]
    assert parts["auxiliary"].item() == pytest.approx((alone["loss"] + empty).item() / 2, rel=1e-5)
    assert parts["loss"].item() == pytest.approx((alone["loss"] + 0.5 * parts["auxiliary"]).item(), rel=1e-5)


def test_validation_sees_every_held_out_slice_without_gradients() -> None:
    """T10: the official loader drops its last odd image and computes gradients."""
    task = _task()
    seen: list[bool] = []
    task.model.register_forward_hook(lambda module, inputs, output: seen.append(torch.is_grad_enabled()))
    with torch.no_grad():
        metrics = task.validate(task.model)
    assert seen == [False, False]
    assert metrics["dice"] == 1
    assert 0 < metrics["loss"] < 0.05


def test_the_soft_iou_is_reported_only_under_its_switch() -> None:
    """T12."""
    with torch.no_grad():
        assert "soft_iou" not in _task().validate(Brightness())
        assert 0.9 < _task(compat={"soft_iou": True}).validate(Brightness())["soft_iou"] < 1


def test_no_validation_part_gives_no_metric() -> None:
    """T2: what `split = "none"` means."""
    task = _task()
    task.split = SliceSplit(task.split.train, (), "none")
    assert task.validate(task.model) == {}


def test_the_dice_of_two_logits_is_that_of_one_sigmoid() -> None:
    """The official ClinicDB loss has one sigmoid output: 1 - (2 sum p t + 1) / (sum p + sum t + 1) over the batch."""
    task = _task(loss={"cross_entropy": 0, "dice": 1, "smooth": 1.0})
    logits = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    target = (torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1)) > 0.7).long()
    p = torch.sigmoid(logits[:, 1] - logits[:, 0])
    official = 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)
    assert task.criterion(logits, target)["loss"].item() == pytest.approx(official.item(), rel=1e-5)


def test_class_dice_of_a_hand_computed_confusion() -> None:
    logits = torch.tensor([[[[5.0, 0, 0, 0]], [[0, 5, 5, 0]], [[0, 0, 0, 5]]]])
    target = torch.tensor([[[0, 1, 0, 1]]])
    scores = class_dice(confusion_matrix(logits, target))
    assert scores[0] == pytest.approx(2 * 1 / (2 + 2))
    assert np.isnan(scores[1])  # class 2 is not in the reference


# --- the weights that are kept


@pytest.mark.parametrize("switch", [False, True])
def test_the_best_weights_are_a_real_copy_unless_the_switch_is_on(
    switch: bool, volumes: Path, tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T1: validation says that the first weights were the best; training goes on and changes them."""
    scores = iter([0.9, 0.5, 0.4])
    monkeypatch.setattr(SegmentationTask, "validate", lambda self, model: {"dice": next(scores)})
    settings = ["train.max_steps=3", "train.validate_every=1", f"compat.best_is_last={str(switch).lower()}"]
    options = [part for setting in settings for part in ("--set", setting)]
    result = run_cli("train", volumes, "--run-dir", tmp_path, *TINY, *options, "--quiet")
    assert result.exit_code == 0, result.stderr
    best, last = (load_model(tmp_path / "checkpoints" / name)[0] for name in ("best", "last"))
    assert all(torch.equal(best[name], last[name]) for name in best) == switch
