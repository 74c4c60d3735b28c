"""Settings of a training that takes seconds."""

from __future__ import annotations

from typing import Any

_STAGE: dict[str, Any] = {
    "batch_size": 4,
    "max_steps": 2,
    "lr": 3e-3,
    "checkpoint_every": 100,
    "validate_every": 100,
}
SHORT: dict[str, Any] = {
    "split": "test",
    "frame": {"height_px": 32, "width_px": 24},
    "tiny_base": {"vae": _STAGE, "joint": _STAGE},
    "train": {**_STAGE, "monitor_mode": "min", "schedule": "constant", "warmup_steps": 0},
}
