"""Sizes of the networks, tiny and published."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tryon_bench._shared.errors import ConfigError
from tryon_bench.diffusion.components import new_controlnet, published_components, tiny_components


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_tiny_networks_have_fewer_than_a_million_parameters() -> None:
    base = tiny_components(0)
    control = new_controlnet(base, 6)
    assert [_count(m) for m in (base.vae, base.unet, base.encoder, control)] == [159_383, 359_236, 17_952, 190_336]


def test_tiny_networks_are_a_function_of_the_seed() -> None:
    state = torch.random.get_rng_state()
    first, second, other = (tiny_components(seed).unet.conv_in.weight for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_published_controlnet_gives_residuals_of_stable_diffusions_sizes() -> None:
    """At 512 x 384: thirteen residuals, on the meta device, so that no memory is needed."""
    base = published_components()
    with torch.device("meta"):
        control = new_controlnet(base, 6)
        down, middle = control(
            torch.empty(2, 9, 64, 48),
            torch.zeros(2, dtype=torch.long),
            torch.empty(2, 1, 768),
            torch.empty(2, 6, 512, 384),
            return_dict=False,
        )
    assert [tuple(d.shape[1:]) for d in down] == [
        *[(320, 64, 48)] * 3,
        (320, 32, 24),
        *[(640, 32, 24)] * 2,
        (640, 16, 12),
        *[(1280, 16, 12)] * 2,
        *[(1280, 8, 6)] * 3,
    ]
    assert tuple(middle.shape[1:]) == (1280, 8, 6)
    assert control.config.in_channels == 9
    assert len(base.encoder.mapper.blocks) == 5


def test_size_that_cannot_be_halved_is_refused_with_the_nearest_one() -> None:
    tiny_components(0).require_size((64, 48))
    with pytest.raises(ConfigError, match=r"multiples of 4 .* got 62x48; the nearest is 64x48"):
        tiny_components(0).require_size((62, 48))
    with pytest.raises(ConfigError, match=r"multiples of 64 .* got 512x400; the nearest is 512x384"):
        published_components().require_size((512, 400))


def test_hint_of_the_tiny_base_has_the_latents_size() -> None:
    base = tiny_components(0)
    assert (base.vae_factor, base.side_multiple) == (2, 4)
    control = new_controlnet(base, 7)
    embedded = control.controlnet_cond_embedding(torch.zeros(1, 7, 64, 48))
    assert embedded.shape[2:] == base.vae.encode(torch.zeros(1, 3, 64, 48)).latent_dist.mean.shape[2:] == (32, 24)


def test_tiny_vae_begins_with_a_narrow_posterior() -> None:
    """So that the loss of its first steps is that of the reconstruction, not of the posterior's noise."""
    with torch.no_grad():
        posterior = tiny_components(0).vae.encode(torch.rand(2, 3, 32, 24)).latent_dist
    torch.testing.assert_close(posterior.logvar, torch.full_like(posterior.logvar, -6))
    assert float(posterior.mean.std()) > 0
