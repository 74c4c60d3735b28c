"""Learning rates as pure functions of the step, and who is decayed."""

from __future__ import annotations

import pytest
from torch import nn

from quartet_shared.engine.config import TrainConfig
from quartet_shared.engine.optim import learning_rate, make_optimizer


def test_a_late_schedule_repeats_its_first_value() -> None:
    config = TrainConfig(lr=0.05, schedule="poly", schedule_lag=1)
    rates = [learning_rate(config, step, 100) for step in range(3)]
    assert rates == pytest.approx([0.05, 0.05, 0.05 * 0.99**0.9])


def test_a_schedule_by_epochs_is_constant_within_them() -> None:
    config = TrainConfig(lr=0.1, schedule="cosine", schedule_by="epoch")
    rates = [learning_rate(config, step, 40, epoch_steps=10) for step in range(40)]
    assert len(set(rates)) == 4
    assert rates[0] == rates[9] == 0.1
    assert rates[20] == pytest.approx(0.05)


@pytest.mark.parametrize("warmup", [0, 3])
def test_warm_up_comes_first_whatever_the_schedule_goes_by(warmup: int) -> None:
    config = TrainConfig(lr=0.1, schedule="cosine", schedule_by="epoch", warmup_steps=warmup)
    rates = [learning_rate(config, step, 40, epoch_steps=10) for step in range(warmup + 1)]
    assert rates == pytest.approx([0.1 * (i + 1) / warmup for i in range(warmup)] + [0.1])


@pytest.mark.parametrize("everything", [False, True])
def test_vectors_are_decayed_only_on_request(everything: bool) -> None:
    optimizer = make_optimizer(nn.BatchNorm2d(3), TrainConfig(weight_decay=0.1, decay_vectors=everything))
    decay = {group["weight_decay"] for group in optimizer.param_groups if group["params"]}
    assert decay == {0.1 if everything else 0.0}
