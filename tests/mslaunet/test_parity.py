"""`mslaunet` loaded with official weights against the independent numpy reference, in float64."""

import numpy as np
import pytest
import torch
from tests.mslaunet.reference_official import official_forward, random_official_state

from mslaunet.official import load_official

TOLERANCE = 1e-8


@pytest.fixture(scope="module")
def state():
    return random_official_state(num_classes=9, seed=2024)


def as_tensors(state):
    return {key: torch.from_numpy(np.array(value)) for key, value in state.items()}


@pytest.mark.filterwarnings("ignore:token_layout and head_merge legacy")  # 96 px is off the training grid (M2)
@pytest.mark.parametrize(
    ("size", "batch"),
    [pytest.param(96, 2, id="96px"), pytest.param(224, 1, id="224px", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("channels", [3, 1])
def test_logits_equal_the_reference(state, channels, size, batch):
    """One channel: a model with summed RGB kernels must equal the official repetition of the channel."""
    model, _ = load_official(as_tensors(state), num_classes=None, in_channels=1 if channels == 1 else None)
    assert all(p.dtype == torch.float64 for p in model.parameters())
    image = np.random.default_rng(size + channels).normal(size=(batch, channels, size, size))
    with torch.inference_mode():
        logits = model.eval()(torch.from_numpy(image))
    expected = official_forward(state, image)
    assert logits.shape == expected.shape
    assert logits.dtype == torch.float64
    assert np.abs(logits.numpy() - expected).max() <= TOLERANCE
