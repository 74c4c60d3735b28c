"""Gradients of one global batch on one, two and four gloo processes, compared themselves: a step of SGD with rate 1."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.cmcgns.test_distributed import losses, run, tiny_weights

ONE_STEP = ["stages=1", "clusters.start_step=0"]
ONE_STEP += [
    f"stage1.{item}" for item in ("optimizer=sgd", "lr=1.0", "momentum=0", "weight_decay=0", "max_steps=1")
]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_gradients_and_centres_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    """Reports have different numbers of sentences; clusters begin in the step that is compared."""
    one = run(tmp_path / "1", 1, "cmcgns", *ONE_STEP) / "cmcgns"
    after = load_file(one / "stage1" / "checkpoints" / "last" / "model.safetensors")
    before = tiny_weights(one)
    gradients = {name: before[name] - after[name] for name in before}
    assert max(value.abs().max() for value in gradients.values()) > 1e-2
    assert after["clusters.clock"][2] >= 2  # centres
    for processes in (2, 4):
        other = run(tmp_path / str(processes), processes, "cmcgns", *ONE_STEP) / "cmcgns"
        same = load_file(other / "stage1" / "checkpoints" / "last" / "model.safetensors")
        assert losses(other, "stage1") == [pytest.approx(record, abs=1e-5) for record in losses(one, "stage1")]
        for name, value in after.items():
            assert (value.double() - same[name].double()).abs().max() <= 1e-5, name
