from __future__ import annotations

import numpy as np
import torch

from mslaunet.baselines import AllBackground, PadToMultiple, fit_nearest_mean, monai_unet


def test_nearest_mean_finds_the_class_whose_mean_is_nearest() -> None:
    image = np.array([[[-1.0, -0.9, 0.5, 0.6]]], np.float32)
    mask = np.array([[0, 0, 1, 1]])
    model = fit_nearest_mean([(image, mask)], num_classes=3)
    answer = model(torch.tensor([[[[-0.8, 0.4, 2.0, -2.0]]]])).argmax(1)
    assert answer.tolist() == [[[0, 1, 1, 0]]]


def test_an_absent_class_never_wins() -> None:
    image, mask = np.zeros((1, 2, 2), np.float32), np.zeros((2, 2), np.int64)
    logits = fit_nearest_mean([(image, mask)], num_classes=2)(torch.zeros(1, 1, 2, 2))
    assert torch.isinf(logits[:, 1]).all()
    assert logits.argmax(1).eq(0).all()


def test_background_everywhere() -> None:
    assert AllBackground(4)(torch.rand(2, 1, 5, 6)).argmax(1).eq(0).all()


def test_padding_lets_the_unet_take_any_size() -> None:
    unet = PadToMultiple(monai_unet(in_channels=1, num_classes=3, channels=(4, 8, 8, 8)), 8).eval()
    assert unet(torch.zeros(1, 1, 13, 30)).shape == (1, 3, 13, 30)
