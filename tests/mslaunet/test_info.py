from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mslaunet._shared.checkpoints import save_model
from mslaunet._shared.errors import CheckpointError
from mslaunet.info import describe_model


@pytest.mark.parametrize("config", [{"package": "cmcgns"}, {"package": "mslaunet", "model": {"num_classes": 3}}])
def test_the_weights_of_something_else_are_refused(tmp_path: Path, config: dict[str, object]) -> None:
    save_model(tmp_path / "other", {"weight": torch.zeros(2)}, config)
    with pytest.raises(CheckpointError, match="other: not an mslaunet model"):
        describe_model(tmp_path / "other")
