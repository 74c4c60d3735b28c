"""The bench's reference is a fair one: the same logits, from the same weights, as the numpy reference and the model."""

import numpy as np
import pytest
import torch
from tests.mslaunet.reference_official import official_forward, random_official_state
from tools.official_order import OfficialOrder

from mslaunet.cost import forward_gflop
from mslaunet.model import MSLAUNet


@torch.no_grad()
def test_official_order_computes_what_the_numpy_reference_computes():
    state = random_official_state(num_classes=9, seed=1)
    model = OfficialOrder(9).double().eval()
    loaded = {k: torch.from_numpy(np.array(v)) for k, v in state.items() if k in model.state_dict()}
    model.load_state_dict(loaded)
    image = np.random.default_rng(0).normal(size=(1, 1, 64, 64))
    received = model(torch.from_numpy(image)).numpy()
    assert np.abs(received - official_forward(state, image)).max() < 1e-8


def test_official_order_has_our_parameters():
    with torch.device("meta"):
        theirs, ours = OfficialOrder(9).state_dict(), MSLAUNet(9, preset="official").state_dict()
    assert {k: v.shape for k, v in theirs.items()} == {k: v.shape for k, v in ours.items()}


def test_official_order_does_the_published_arithmetic_and_ours_less():
    with torch.device("meta"):
        theirs, ours = OfficialOrder(9), MSLAUNet(9, preset="official")
    published = forward_gflop(theirs, (3, 224, 224))
    assert published == pytest.approx(10.034, abs=0.002)
    assert forward_gflop(ours, (3, 224, 224)) < 0.97 * published
