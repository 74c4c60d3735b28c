"""Gradient caching equals the plain step, for global and local losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.cmcgns.pretraining import planted_sides, tiny_settings

from cmcgns.config import Config
from cmcgns.gradcache import in_chunks
from cmcgns.train import build_task


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("chunk", [1, 3])
def test_loss_gradients_and_clusters_equal_those_of_the_whole_batch(stage, chunk) -> None:
    def step(size: int | None):
        settings = tiny_settings() | {"chunk": size, "clusters": {"k": 4, "start_step": 0, "queue": 64}}
        settings["loss"] = {"image_weight": 0.5}
        task = build_task(Config.model_validate(settings), planted_sides(16, 8), stage=stage)
        objective = task.model.train().double()
        batch = task.batch(range(8), [np.random.default_rng(i) for i in range(8)])
        batch["image"] = batch["image"].double()
        parts = objective(batch)
        parts["loss"].backward()
        gradients = {n: p.grad for n, p in objective.named_parameters() if p.grad is not None}
        return parts, gradients, objective.clusters.active()

    (parts, gradients, centres), (chunked, same, centres_too) = step(None), step(chunk)
    for name, value in parts.items():
        torch.testing.assert_close(chunked[name], value, rtol=0, atol=1e-6)
    assert gradients.keys() == same.keys()
    for name, value in gradients.items():
        torch.testing.assert_close(same[name], value, rtol=0, atol=1e-6, msg=name)
    torch.testing.assert_close(centres_too, centres, rtol=0, atol=1e-6)


def test_dropout_is_replayed_when_a_chunk_is_computed_again() -> None:
    module = torch.nn.Dropout(0.5).train()
    weight = torch.ones(8, 4, requires_grad=True)
    results = torch.cat([out for (out,) in in_chunks(lambda x: (module(x),), [weight], 2, module)])
    results.sum().backward()
    assert torch.equal(weight.grad, results.detach())  # 0 or 2, at the same places


def test_running_statistics_are_updated_once_per_chunk() -> None:
    data = torch.randn(8, 3, 4, 4)
    cached, plain = torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    for (out,) in in_chunks(lambda x: (cached(x),), [data], 4, cached):
        out.sum().backward()
    for part in data.split(4):
        plain(part)
    torch.testing.assert_close(cached.running_mean, plain.running_mean)
    assert cached.num_batches_tracked == plain.num_batches_tracked == 2


def test_only_features_are_kept_between_the_passes() -> None:
    """Of a deep function, the graph holds what the chunks return and not what they computed."""
    saved: list[int] = []

    def deep(x: torch.Tensor) -> tuple[torch.Tensor]:
        for _ in range(20):
            x = (x * 1.01).tanh()
        return (x.sum(1, keepdim=True),)

    inputs = torch.randn(64, 100, requires_grad=True)
    for chunk in (None, 8):
        with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
            in_chunks(deep, [inputs], chunk, torch.nn.Identity())
        saved.append(-1)
    whole, cached = saved[: saved.index(-1)], saved[saved.index(-1) + 1 : -1]
    assert sum(cached) < sum(whole) / 10
