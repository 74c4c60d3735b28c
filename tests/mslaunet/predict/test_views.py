from __future__ import annotations

import pytest
import torch
from torch import nn

from mslaunet.predict.views import VIEWS, View, look


@pytest.mark.parametrize("view", VIEWS["flips"])
def test_mirrored_answers_come_back_to_their_place(view: View) -> None:
    planes = torch.randn(1, 2, 9, 7, generator=torch.Generator().manual_seed(0))
    pointwise = nn.Conv2d(2, 3, 1)
    assert torch.allclose(look(pointwise, planes, view), pointwise(planes), atol=1e-6)


def test_a_mirrored_view_shows_the_network_the_mirror_image() -> None:
    seen = []
    planes = torch.arange(6.0).reshape(1, 1, 2, 3)
    look(lambda x: (seen.append(x), x)[1], planes, View((-1,)))
    assert seen[0][0, 0].tolist() == [[2, 1, 0], [5, 4, 3]]


@pytest.mark.parametrize("scale", [0.75, 1.25])
def test_a_scaled_view_has_another_size_and_the_answer_does_not(scale: float) -> None:
    seen = []
    out = look(lambda x: (seen.append(x.shape[-2:]), x)[1], torch.ones(1, 1, 40, 60), View(scale=scale))
    assert tuple(seen[0]) == (round(40 * scale), round(60 * scale))
    assert out.shape[-2:] == (40, 60)
    assert torch.allclose(out, torch.ones_like(out))


def test_all_views_are_flips_times_scales() -> None:
    assert len(VIEWS["all"]) == len(VIEWS["flips"]) * len(VIEWS["scales"]) == 12
    assert len(set(VIEWS["all"])) == 12
