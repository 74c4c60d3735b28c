"""What a new ControlNet changes (nothing), and what training reaches (only what it should)."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from tryon_bench.diffusion.components import new_controlnet, tiny_components
from tryon_bench.diffusion.lora import add_lora
from tryon_bench.diffusion.model import GuidedInpainting, JointInpainting

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def _inputs(count: int = 2) -> Inputs:
    random = torch.Generator().manual_seed(0)
    return (
        torch.randn(count, 9, 16, 12, generator=random),
        torch.arange(count) * 400 + 3,
        torch.randn(count, 3, 16, 16, generator=random),
        torch.zeros(count, dtype=torch.bool),
        torch.randn(count, 6, 32, 24, generator=random),
    )


def _model(*, lora: int = 0, train_mapping: bool = False, seed: int = 0) -> GuidedInpainting:
    base = tiny_components(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        control = new_controlnet(base, 6)
        if lora:
            add_lora(base.unet, lora, lora)
    return GuidedInpainting(base, control, train_mapping=train_mapping)


def _step(model: GuidedInpainting, inputs: Inputs) -> None:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model(*inputs).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("lora", [0, 4])
def test_untrained_controlnet_and_adapters_leave_the_base_bit_equal(lora: int) -> None:
    base, (latents, times, ref, drop, _) = tiny_components(0).frozen(), _inputs()
    with torch.no_grad():
        alone = base.unet(latents, times, base.encoder.token(base.encoder.pooled(ref), drop)).sample
        assert torch.equal(_model(lora=lora)(*_inputs()), alone)


def test_joint_training_leaves_samples_without_hint_to_the_base() -> None:
    base, inputs = tiny_components(0), _inputs()
    joint = JointInpainting(base.unet, base.encoder, new_controlnet(base, 6)).eval()
    with torch.no_grad():
        torch.nn.init.ones_(joint.controlnet.controlnet_mid_block.weight)
        inputs[4][0] = 0
        steered = joint(*inputs)
        alone = base.unet(inputs[0], inputs[1], base.encoder(inputs[2])).sample
    torch.testing.assert_close(steered[0], alone[0])
    assert not torch.allclose(steered[1], alone[1], atol=1e-3)


def test_first_gradient_reaches_the_zero_convolutions_alone_and_the_second_nearly_everything() -> None:
    model = _model()
    model(*_inputs()).square().mean().backward()
    names = dict(model.controlnet.named_parameters())
    reached = {name for name, p in names.items() if p.grad is not None and p.grad.any()}
    zero = {n for n in names if n.startswith(("controlnet_down_blocks", "controlnet_mid_block"))}
    assert reached == zero
    assert (len(reached), len(names)) == (10, 118)
    model.zero_grad()
    _step(model, _inputs())
    model(*_inputs()).square().mean().backward()
    again = [name for name, p in names.items() if p.grad is not None and p.grad.any()]
    # the attention over one token has no gradient in its queries and keys, nor in the norm before them
    assert len(again) == 104


@pytest.mark.parametrize("lora", [0, 2])
def test_no_weight_of_the_base_gets_a_gradient_or_changes(lora: int) -> None:
    model = _model(lora=lora)
    frozen = {
        name: p
        for module in model.components.modules()
        for name, p in module.named_parameters()
        if "lora" not in name
    }
    before = {name: p.clone() for name, p in frozen.items()}
    for _ in range(2):
        _step(model, _inputs())
        model(*_inputs()).square().mean().backward()
    assert all(p.grad is None for p in frozen.values())
    assert all(torch.equal(before[name], p) for name, p in frozen.items())


def test_only_what_is_trained_is_in_the_state() -> None:
    assert all(name.startswith("controlnet.") for name in _model().state_dict())
    kinds = {name.partition(".")[0] for name in _model(lora=2, train_mapping=True).state_dict()}
    assert kinds == {"controlnet", "lora", "mapping", "uncond_vector"}


def test_trained_mapping_and_adapters_get_gradients() -> None:
    model = _model(lora=2, train_mapping=True)
    inputs = _inputs()
    inputs[3][0] = True  # one sample without its garment, so that the unconditional vector takes part
    _step(model, inputs)
    model(*inputs).square().mean().backward()
    assert model.uncond_vector is not None
    assert model.uncond_vector.grad is not None
    assert model.uncond_vector.grad.any()
    assert model.mapping is not None
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert any(
        p.grad.any() for name, p in model.lora.named_parameters() if "lora_A" in name and p.grad is not None
    )


def test_copy_for_the_moving_average_shares_the_frozen_base() -> None:
    model = _model()
    twin = copy.deepcopy(model)
    assert all(a is b for a, b in zip(twin.components.modules(), model.components.modules(), strict=True))
    assert twin.controlnet is not model.controlnet


def test_copy_with_adapters_has_a_unet_whose_adapters_are_its_own() -> None:
    model = _model(lora=2)
    twin = copy.deepcopy(model)
    _step(model, _inputs())
    with torch.no_grad():
        still = twin(*_inputs())
        assert not torch.equal(still, model(*_inputs()))
        assert torch.equal(still, _model(lora=2)(*_inputs()))
        twin.load_state_dict(model.state_dict())
        assert torch.equal(twin(*_inputs()), model(*_inputs()))


def test_copy_of_a_trained_mapping_keeps_its_own_token() -> None:
    model, inputs = _model(train_mapping=True), _inputs()
    with torch.no_grad():
        for weights in model.controlnet.parameters():  # a ControlNet that leaves everything to the token
            weights.zero_()
        twin = copy.deepcopy(model)
        before = model(*inputs)
        assert model.mapping is not None
        for weights in model.mapping.parameters():
            weights.add_(0.1)
        assert not torch.equal(model(*inputs), before)
        assert torch.equal(twin(*inputs), before)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpointing in (False, True):
        model = _model(lora=2)
        if checkpointing:
            model.controlnet.enable_gradient_checkpointing()
            model.components.unet.enable_gradient_checkpointing()
        _step(model, _inputs())
        model(*_inputs()).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed, rtol=1e-4, atol=1e-7)
