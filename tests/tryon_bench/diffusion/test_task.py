"""Batches and the loss of the denoiser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tryon_bench._shared.order import generator
from tryon_bench.diffusion.latents import encode, small_mask, unet_input
from tryon_bench.diffusion.task import DenoisingTask

MakeTask = Callable[..., DenoisingTask]


def _batch(task: DenoisingTask, epoch: int = 0, numbers: tuple[int, ...] = (0, 1, 2, 3)) -> dict[str, Tensor]:
    return task.batch(numbers, [generator(0, "sample", epoch, n) for n in numbers])


class _Recorder(nn.Module):
    """Keeps what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Tensor, ...]] = []

    def forward(self, *inputs: Tensor) -> Tensor:
        self.calls.append(inputs)
        return torch.zeros_like(inputs[0][:, :4])


def test_unet_sees_noisy_latents_then_the_masked_photo_then_the_keep_mask(make_task: MakeTask) -> None:
    task = make_task()
    batch = _batch(task)
    spy = _Recorder()
    task.model = spy
    task.loss(batch)
    latents = spy.calls[0][0]
    with torch.no_grad():
        masked = encode(task.vae, batch["image"] * batch["keep"])
        clean = encode(task.vae, batch["image"], batch["vae_noise"])
    assert latents.shape == (4, 9, 16, 12)
    torch.testing.assert_close(latents[:, 4:8], masked)
    assert torch.equal(latents[:, 8:], small_mask(batch["keep"], (16, 12), "nearest"))
    alpha = task.scheduler.alphas_cumprod[batch["t"]][:, None, None, None]
    torch.testing.assert_close(latents[:, :4], alpha.sqrt() * clean + (1 - alpha).sqrt() * batch["noise"])


def test_keep_mask_is_one_outside_and_the_masked_photo_is_gray_inside(make_task: MakeTask) -> None:
    batch = _batch(make_task())
    assert set(batch["keep"].unique().tolist()) == {0.0, 1.0}
    assert batch["keep"][:, :, 0].min() == 1  # above the head
    assert batch["keep"][:, :, 16, 12].max() == 0  # the chest
    assert (batch["image"] * batch["keep"])[:, :, 16, 12].abs().max() == 0


def test_order_of_channels_is_that_of_paint_by_example() -> None:
    parts = [torch.full((1, n, 2, 2), value) for n, value in ((4, 1.0), (4, 2.0), (1, 3.0))]
    assert unet_input(*parts)[0, :, 0, 0].tolist() == [1.0] * 4 + [2.0] * 4 + [3.0]


def test_exemplars_are_dropped_sample_by_sample(make_task: MakeTask) -> None:
    task = make_task(drop_exemplar=0.5)
    drops = torch.stack([_batch(task, epoch)["drop"] for epoch in range(60)]).float()
    assert 0.35 < drops.mean() < 0.65
    assert ((drops.mean(dim=1) > 0) & (drops.mean(dim=1) < 1)).any()  # a batch of both kinds


def test_dropped_hint_is_zero_and_the_others_stay(make_task: MakeTask) -> None:
    task = make_task()
    batch = _batch(task)
    batch["drop_hint"] = torch.tensor([True, False, False, False])
    spy = _Recorder()
    task.model = spy
    task.loss(batch)
    hint = spy.calls[0][4]
    assert hint[0].abs().max() == 0
    assert torch.equal(hint[1:], batch["hint"][1:])


def test_noise_of_a_sample_does_not_depend_on_its_batch(make_task: MakeTask) -> None:
    task = make_task()
    together, alone = _batch(task), _batch(task, numbers=(2,))
    assert all(torch.equal(together[name][2:3], alone[name]) for name in together)
    assert not torch.equal(together["noise"], _batch(task, epoch=1)["noise"])


def test_mask_weight_counts_repainted_places_more(make_task: MakeTask) -> None:
    plain, weighted = make_task(), make_task(mask_weight=3.0)
    batch = _batch(plain)
    with torch.no_grad():
        mse, parts = plain.loss(batch)["loss"], weighted.loss(batch)
    keep = small_mask(batch["keep"], (16, 12), "nearest")
    assert float(parts["mse"]) == pytest.approx(float(mse))
    assert float(mse) < float(parts["loss"]) < 4 * float(mse)
    assert 0 < float(keep.mean()) < 1


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_loss_is_zero_for_the_answer_that_the_base_is_asked_for(make_task: MakeTask, kind: str) -> None:
    task = make_task()
    task.scheduler.register_to_config(prediction_type=kind)
    batch = _batch(task)
    with torch.no_grad():
        clean = encode(task.vae, batch["image"], batch["vae_noise"])
    alpha = task.scheduler.alphas_cumprod[batch["t"]][:, None, None, None]
    velocity = alpha.sqrt() * batch["noise"] - (1 - alpha).sqrt() * clean
    answer = {"epsilon": batch["noise"], "v_prediction": velocity}
    for name, value in answer.items():
        task.model = _Answer(value)
        mse = float(task.loss(batch)["mse"])
        assert mse < 1e-10 if name == kind else mse > 0.01


class _Answer(nn.Module):
    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.value


def test_forty_steps_take_at_least_a_fifth_off_the_loss(make_task: MakeTask) -> None:
    """From a random base and a ControlNet that starts as nothing; measured on fixed noise."""
    task = make_task(drop_exemplar=0.0, drop_hint=0.0)
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=1e-2)
    with torch.no_grad():
        before = task.validate(task.model)["loss"]
    for step in range(40):
        task.loss(_batch(task, step))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        after = task.validate(task.model)["loss"]
    assert after < 0.8 * before


def test_validation_is_the_same_twice_and_in_any_batch_size(make_task: MakeTask) -> None:
    task = make_task()
    one = make_task(train={"batch_size": 1, "max_steps": 1})
    with torch.no_grad():
        first, second = task.validate(task.model), task.validate(task.model)
        assert first == second
        assert one.validate(one.model)["loss"] == pytest.approx(first["loss"], rel=1e-5)
