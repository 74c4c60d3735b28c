"""The tiled weight gradient is the ordinary one."""

import pytest
import torch
import torch.nn.functional as F

from mslaunet.depthwise import DepthwiseConv2d


@pytest.mark.parametrize("kernel_size", [3, 5, 7, 9, 11])
@pytest.mark.parametrize("size", [(7, 7), (4, 9), (1, 1)])
def test_gradients_equal_those_of_the_plain_convolution(kernel_size, size):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(6, kernel_size).double()
    x = torch.randn(2, 6, *size, dtype=torch.float64, requires_grad=True)
    leaves = [x, layer.weight, layer.bias]
    plain = F.conv2d(x, layer.weight, layer.bias, padding=kernel_size // 2, groups=6)
    out = layer(x)
    assert torch.equal(out, plain)
    gradient = torch.randn_like(out)
    received = torch.autograd.grad(out, leaves, gradient)
    for a, b in zip(received, torch.autograd.grad(plain, leaves, gradient), strict=True):
        torch.testing.assert_close(a, b)


def test_an_image_without_gradient_needs_none():
    layer = DepthwiseConv2d(4, 5)
    layer(torch.randn(1, 4, 8, 8)).sum().backward()
    assert layer.weight.grad.abs().sum() > 0


def test_autocast_trains_in_low_precision_and_keeps_gradients_in_full():
    torch.manual_seed(0)
    layer, x = DepthwiseConv2d(4, 5), torch.randn(2, 4, 16, 16)
    layer(x).square().mean().backward()
    exact = layer.weight.grad.clone()
    layer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    out.float().square().mean().backward()
    assert layer.weight.grad.dtype == torch.float32
    assert (layer.weight.grad - exact).abs().max() < 0.05 * exact.abs().max()
