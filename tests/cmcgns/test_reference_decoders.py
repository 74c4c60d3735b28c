"""The decoder reference agrees with PyTorch's own layers and shows the documented defects."""

import itertools
import math

import pytest
import torch
from tests.cmcgns import reference_decoders as decoders
from tests.cmcgns.test_reference_official import rows, state
from torch import nn
from torch.nn import functional as F


def test_convolution_and_doubling_equal_the_library_ones() -> None:
    image, weight, bias = rows(4, 30, 1).reshape(4, 5, 6), rows(3, 36, 2).reshape(3, 4, 3, 3), rows(1, 3, 3)[0]
    expected = F.conv2d(image[None], weight, bias, padding=1)[0]
    torch.testing.assert_close(decoders.convolve(image, weight, bias), expected, rtol=0, atol=1e-12)
    expected = F.interpolate(image[None], scale_factor=2, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(decoders.double(image), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_first", [False, True])
def test_decoder_layer_equals_the_library_one(batch_first: bool) -> None:
    layer = nn.TransformerDecoderLayer(16, 8, 32, dropout=0.0, batch_first=batch_first).double()
    x = rows(12, 16, 1).reshape(3, 4, 16)
    expected = layer(x, x)
    ours = decoders.decoder_layer(x, x, state(layer), batch_first=batch_first)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-11)


def convolutions(channels: list[int]) -> dict[str, torch.Tensor]:
    weights = {}
    for i, (into, out) in enumerate(itertools.pairwise(channels)):
        weights[f"convs.{i}.weight"] = rows(out, into * 9, i).reshape(out, into, 3, 3) / math.sqrt(into * 9)
        weights[f"convs.{i}.bias"] = rows(1, out, 50 + i)[0] / 10
    return weights


def test_resnet_decoder_doubles_five_times_and_stays_in_zero_one() -> None:
    own, other = rows(8, 6, 1).reshape(2, 4, 6), rows(8, 6, 2).reshape(2, 4, 6)
    keep = torch.tensor([[1.0, 0, 1, 0, 1, 0], [0, 1, 1, 1, 0, 0]]).double()
    out = decoders.resnet_decoder(own, other, keep, convolutions([12, 8, 6, 4, 4, 3]))
    assert out.shape == (2, 3, 64, 64)
    assert 0 <= float(out.min()) <= float(out.max()) < 1
    torch.testing.assert_close(decoders.drop_channels(own, keep), own * keep[:, None])


def test_official_vit_decoder_leaks_between_patients_and_batch_first_does_not() -> None:
    own, other = rows(8, 8, 1).reshape(2, 4, 8), rows(8, 8, 2).reshape(2, 4, 8)
    weights = convolutions([8, 6, 4, 4, 3]) | {"positions": rows(4, 8, 5)}
    weights |= {f"fusion.{k}": v for k, v in state(nn.MultiheadAttention(8, 8)).items()}
    weights |= {f"layer.{k}": v for k, v in state(nn.TransformerDecoderLayer(8, 8, 16)).items()}
    keep = torch.tensor([[1.0, 0, 1, 1], [0, 1, 1, 0]]).double()
    changed = own.clone()
    changed[1] += 1
    for batch_first, leaks in ((False, True), (True, False)):
        before, after = (
            decoders.vit_decoder(x, other, keep, weights, 8, 6, batch_first)[0] for x in (own, changed)
        )
        assert before.shape == (3, 32, 32)
        assert torch.equal(before, after) is not leaks
    torch.testing.assert_close(decoders.drop_tokens(own, keep), 2 * own * keep[..., None])


def test_reconstruction_loss_of_a_dark_floor_is_two_and_a_half() -> None:
    target = torch.linspace(-1, 1, 3 * 64 * 64, dtype=torch.float64).reshape(1, 3, 64, 64)
    best = torch.relu(target)  # what an output in [0, 1) can reach at most
    assert float(decoders.reconstruction_loss(best, target)) == pytest.approx(2.5, abs=0.01)
