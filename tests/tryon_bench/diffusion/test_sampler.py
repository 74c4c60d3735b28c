"""Drawing pictures: what a sample depends on, and what it does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tryon_bench._shared.errors import ConfigError
from tryon_bench.data.sample import Dataset
from tryon_bench.diffusion.components import new_controlnet, tiny_components
from tryon_bench.diffusion.config import FrameConfig
from tryon_bench.diffusion.model import GuidedInpainting
from tryon_bench.diffusion.pairs import PreparedPairs, to_tensors
from tryon_bench.diffusion.sampler import SamplerSettings, draw, initial_noise

FRAME = FrameConfig(height_px=32, width_px=24)
SHAPE = (4, 16, 12)


@pytest.fixture(scope="module")
def model() -> GuidedInpainting:
    base = tiny_components(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        control = new_controlnet(base, 6)
        for name, parameter in control.named_parameters():
            if name.startswith(("controlnet_down", "controlnet_mid", "controlnet_cond_embedding.conv_out")):
                torch.nn.init.normal_(parameter, std=0.05)  # zeros would say nothing
    return GuidedInpainting(base, control).eval()


@pytest.fixture(scope="module")
def batch(dataset: Dataset) -> dict[str, Tensor]:
    pairs = PreparedPairs(dataset.samples, FRAME, 16)
    return to_tensors([pairs[i] for i in range(4)], FRAME)


def _noise(seed: int = 0) -> list[Tensor]:
    return [initial_noise(seed, f"pair-{i}", SHAPE) for i in range(4)]


def _part(batch: dict[str, Tensor], i: int) -> dict[str, Tensor]:
    return {name: value[i : i + 1] for name, value in batch.items()}


def test_noise_is_a_function_of_seed_and_pair() -> None:
    assert torch.equal(initial_noise(0, "a", SHAPE), initial_noise(0, "a", SHAPE))
    assert not torch.equal(initial_noise(0, "a", SHAPE), initial_noise(1, "a", SHAPE))
    assert not torch.equal(initial_noise(0, "a", SHAPE), initial_noise(0, "b", SHAPE))
    many = torch.stack([initial_noise(0, str(i), SHAPE) for i in range(200)])
    assert abs(float(many.mean())) < 0.01
    assert float(many.std()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("scheduler", ["ddim", "unipc"])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_batches_of_one_and_of_four_give_the_same_pictures(
    model: GuidedInpainting, batch: dict[str, Tensor], scheduler: str, guidance: float
) -> None:
    settings = SamplerSettings(scheduler, 6, guidance)  # type: ignore[arg-type]
    together = draw(model, batch, _noise(), FRAME, settings)
    for i in range(4):
        alone = draw(model, _part(batch, i), _noise()[i : i + 1], FRAME, settings)
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-4)
    assert together.shape == (4, 3, 32, 24)
    assert 0 <= together.min() < together.max() <= 1


def test_guidance_one_is_one_pass_and_equals_two(
    model: GuidedInpainting, batch: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    forward = GuidedInpainting.forward
    monkeypatch.setattr(
        GuidedInpainting, "forward", lambda self, *inputs: calls.append(len(inputs[0])) or forward(self, *inputs)
    )
    one = draw(model, batch, _noise(), FRAME, SamplerSettings(steps=3, guidance=1.0))
    two = draw(model, batch, _noise(), FRAME, SamplerSettings(steps=3, guidance=1.0 + 1e-7))
    assert calls == [4] * 3 + [8] * 3
    torch.testing.assert_close(one, two, rtol=0, atol=1e-4)


def test_guidance_zero_ignores_the_exemplar_and_hint_and_photo_do_not(
    model: GuidedInpainting, batch: dict[str, Tensor]
) -> None:
    settings = SamplerSettings(steps=4, guidance=0.0)
    plain = draw(model, batch, _noise(), FRAME, settings)
    other = {**batch, "ref": batch["ref"].flip(0)}
    assert torch.equal(plain, draw(model, other, _noise(), FRAME, settings))
    for name in ("hint", "image"):
        other = {**batch, name: batch[name].flip(0)}
        assert not torch.equal(plain, draw(model, other, _noise(), FRAME, settings))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_ddim_equals_the_formula_of_its_paper(
    model: GuidedInpainting, batch: dict[str, Tensor], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Song et al. 2021, equation 12 with sigma 0, in three steps of Stable Diffusion's spacing."""
    from tryon_bench.diffusion.latents import decode, encode, small_mask, unet_input

    base = model.components
    monkeypatch.setitem(base.noise, "prediction_type", kind)
    alphas = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, dim=0)
    masked = encode(base.vae, batch["image"] * batch["keep"]).detach()
    keep = small_mask(batch["keep"], (16, 12), "nearest")
    x, seen = torch.stack(_noise()), torch.zeros(4, dtype=torch.bool)
    with torch.no_grad():
        for t in (667, 334, 1):
            e = model(unet_input(x, masked, keep), torch.full((4,), t), batch["ref"], seen, batch["hint"])
            if kind == "v_prediction":
                e = alphas[t].sqrt() * e + (1 - alphas[t]).sqrt() * x
            before = alphas[t - 333] if t > 333 else alphas[0]
            clean = (x - (1 - alphas[t]).sqrt() * e) / alphas[t].sqrt()
            x = before.sqrt() * clean + (1 - before).sqrt() * e
        expected = (decode(base.vae, x) + 1) / 2
    torch.testing.assert_close(
        draw(model, batch, _noise(), FRAME, SamplerSettings(steps=3)), expected, rtol=0, atol=1e-4
    )


def test_start_picture_is_kept_the_more_the_less_noise_is_added(
    model: GuidedInpainting, batch: dict[str, Tensor]
) -> None:
    from tryon_bench.diffusion.latents import decode, encode

    start = batch["image"]
    with torch.no_grad():
        through = (decode(model.components.vae, encode(model.components.vae, start)) + 1) / 2
    for scheduler in ("ddim", "unipc"):
        distances = [
            float(
                (draw(model, batch, _noise(), FRAME, SamplerSettings(scheduler, 20, 1.0, s), start) - through)  # type: ignore[arg-type]
                .abs()
                .mean()
            )
            for s in (0.05, 0.9)
        ]
        assert distances[0] < 0.9 * distances[1]


def test_full_strength_ignores_the_start_picture(model: GuidedInpainting, batch: dict[str, Tensor]) -> None:
    settings = SamplerSettings(steps=3, strength=1.0)
    assert torch.equal(
        draw(model, batch, _noise(), FRAME, settings, batch["image"]),
        draw(model, batch, _noise(), FRAME, settings),
    )


@pytest.mark.parametrize(
    "wrong", [{"scheduler": "ddpm"}, {"steps": 0}, {"steps": 501}, {"strength": 0.0}, {"guidance": -1.0}]
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        SamplerSettings(**wrong)  # type: ignore[arg-type]
