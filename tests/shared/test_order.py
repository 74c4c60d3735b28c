from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet_shared.errors import ConfigError
from quartet_shared.order import batch_indices, generator, steps_per_epoch, stream_key


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**40), st.integers(0, 3))
def test_an_epoch_is_a_permutation_less_its_ragged_tail(n, batch, seed, epoch):
    if batch > n:
        return
    steps = steps_per_epoch(n, batch)
    found = [batch_indices(n, batch, seed, epoch * steps + i) for i in range(steps)]
    assert {e for e, _ in found} == {epoch}
    samples = np.concatenate([indices for _, indices in found])
    assert len(samples) == len(set(samples.tolist())) == steps * batch
    assert samples.min() >= 0
    assert samples.max() < n


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {tuple(batch_indices(50, 50, seed, step)[1].tolist()) for seed in range(3) for step in range(3)}
    assert len(orders) == 9


def test_the_order_is_the_same_in_every_process_whatever_its_hash_seed():
    code = "from quartet_shared.order import batch_indices; print(batch_indices(30, 10, 3, 4)[1].tolist())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{batch_indices(30, 10, 3, 4)[1].tolist()}\n"}


def test_the_order_is_frozen_because_old_runs_resume_with_it():
    assert batch_indices(10, 5, seed=0, step=3)[1].tolist() == [0, 8, 5, 6, 7]


def test_indices_cannot_be_changed_by_a_caller():
    with pytest.raises(ValueError, match="read-only"):
        batch_indices(10, 5, 0, 0)[1][0] = 1


@pytest.mark.parametrize("n", [0, 7])
def test_a_data_set_smaller_than_a_batch_is_refused(n):
    with pytest.raises(ConfigError, match=f"got {n} samples for batch_size=8"):
        batch_indices(n, 8, 0, 0)


def test_streams_of_different_purpose_seed_or_key_are_independent():
    keys = [(0, "a"), (0, "b"), (1, "a"), (0, "a", 1), (0, "a", 1, 2), (0, "a", 12)]
    streams = np.stack([generator(*key).normal(size=4000) for key in keys])
    correlation = np.corrcoef(streams) - np.eye(len(keys))
    assert np.abs(correlation).max() < 0.08  # five standard errors
    assert len({stream_key(*key) for key in keys}) == len(keys)
