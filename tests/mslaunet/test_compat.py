"""Defects of the official code: shown as they are, reproduced only under their switch, avoided without it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from mslaunet import compat
from mslaunet.preprocess import Preprocessing


def test_the_official_way_of_keeping_weights_keeps_the_last_ones() -> None:
    """T1: a state dict is a view of the live tensors, so 'best' moves on with the training."""
    layer = nn.Linear(2, 2)
    best, copied = layer.state_dict(), copy.deepcopy(layer.state_dict())
    with torch.no_grad():
        layer.weight += 1
    assert torch.equal(best["weight"], layer.weight)
    assert not torch.equal(copied["weight"], layer.weight)


def test_replayed_augmentation_has_only_so_many_draws() -> None:
    """T3: 288 draws in all; without the switch every (epoch, sample) has its own."""
    rngs = [np.random.default_rng(i) for i in range(3000)]
    official = {float(compat.replayed(rng, 288).random()) for rng in rngs}
    assert 250 < len(official) <= 288
    assert len({float(np.random.default_rng(i).random()) for i in range(3000)}) == 3000


@pytest.mark.parametrize(("before", "after"), [(512, 224)])
def test_scipy_zoom_loses_the_last_row_and_column(before: int, after: int) -> None:
    """T5, and only there: 512 -> 256 is sound."""
    ones = np.ones((1, 1, before, before), np.float32)
    zoomed = compat.zoom_planes(ones, (after, after))[0, 0]
    labels = compat.zoom_labels(np.ones((1, before, before), np.uint8), (after, after))[0]
    assert zoomed[-1].max() == zoomed[:, -1].max() == -1  # zero in the official [0, 1] range
    assert labels[-1].max() == labels[:, -1].max() == 0
    assert labels[:-1, :-1].min() == 1
    assert compat.zoom_labels(np.ones((1, before, before), np.uint8), (256, 256)).min() == 1


def test_zoom_is_scipys() -> None:
    plane = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    expected = ndimage.zoom(plane, (10 / 20, 12 / 30), order=3)
    assert np.allclose(compat.zoom_planes(plane[None, None] * 2 - 1, (10, 12))[0, 0], expected * 2 - 1, atol=1e-5)


@pytest.mark.parametrize("switch", [False, True])
def test_the_lost_edge_appears_only_under_its_switch(switch: bool) -> None:
    plan = Preprocessing(intensity="unit", num_channels=1, resize_px=224, zoom_edge=switch)
    resized = plan.resize_mask(np.ones((1, 512, 512), np.uint8), (224, 224))
    planes = plan.resize_image(np.ones((1, 1, 512, 512), np.float32), (224, 224))
    assert (resized[0, -1].max() == 0) == switch
    assert (planes[0, 0, -1].max() == -1) == switch


@pytest.mark.parametrize(
    ("batch", "rate"), [(24, 0.05), (12, 0.05), (6, 0.05), (10, 0.05 * 10 / 24), (25, 0.05 * 25 / 24)]
)
def test_the_official_rule_scales_the_rate_only_where_five_divides_the_batch(batch: int, rate: float) -> None:
    """T13."""
    assert compat.scaled_rate(0.05, batch) == pytest.approx(rate)


def test_the_soft_iou_has_no_threshold() -> None:
    """T12: a map of 0.6 everywhere on a full mask is perfect at threshold 0.5 and is not called so."""
    probs, target = np.full(100, 0.6), np.ones(100)
    assert compat.soft_iou(probs, target) == pytest.approx((60 + 1) / (60 + 100 - 60 + 1))


def test_smoothed_scores_of_a_hand_computed_pair() -> None:
    """T12: 2 of 3 predicted pixels hit a mask of 4."""
    pred, ref = np.array([1, 1, 1, 0, 0, 0], bool), np.array([1, 1, 0, 1, 1, 0], bool)
    assert compat.smoothed_scores(pred, ref) == pytest.approx({"dice": 5 / 8, "iou": 3 / 6})


def test_thresholding_after_the_resize_keeps_more_of_a_small_disc() -> None:
    """T8: the ceiling of a perfect model. Label maps cut at 224 and zoomed back lose a disc of 4 px radius."""
    import torch.nn.functional as F

    dices = {"early": [], "late": []}
    rng = np.random.default_rng(0)
    for _ in range(5):
        centre = rng.uniform(100, 400, 2)
        disc = np.hypot(*(np.mgrid[:512, :512] - centre[:, None, None])) <= 4
        small = compat.zoom_labels(disc.astype(np.uint8)[None], (224, 224))
        early = compat.zoom_labels(small, (512, 512))[0] > 0
        soft = F.interpolate(torch.from_numpy(disc).float()[None, None], (224, 224), mode="area")
        late = F.interpolate(soft, (512, 512), mode="bilinear")[0, 0].numpy() > 0.5
        for name, mask in (("early", early), ("late", late)):
            dices[name].append(2 * (mask & disc).sum() / (mask.sum() + disc.sum()))
    assert np.mean(dices["early"]) < 0.9 < np.mean(dices["late"])
