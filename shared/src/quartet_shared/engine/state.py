"""Everything that a resumed run needs: weights, moving average, optimiser, scaler and counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..checkpoints import Checkpoint, load_strict
from ..errors import NumericsError
from .config import TrainConfig
from .optim import make_optimizer, optimizer_tensors, restore_optimizer
from .precision import Precision


@dataclass
class Progress:
    """How far a run is; plain numbers, so that it survives JSON exactly."""

    step: int = 0
    """Optimiser steps done, skipped ones included."""
    best: float | None = None
    stale: int = 0
    """Validations since the best one."""
    bad_steps: int = 0
    elapsed_s: float = 0.0
    window: dict[str, float] = field(default_factory=dict)
    """Sums of the losses since the last record in metrics.jsonl."""
    window_steps: int = 0


class TrainState:
    """What training changes. Random numbers are not in it: they are pure functions of seed and step.

    The moving average is m <- decay m + (1 - decay) w after every step, starting at the first w; buffers are
    copied. Only rank 0 keeps it.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, accelerator: Accelerator) -> None:
        self.model = model.to(accelerator.device)
        self.wrapped: nn.Module = accelerator.prepare_model(self.model)
        self.optimizer = make_optimizer(self.model, config)
        self.precision = Precision(config, accelerator.device)
        self.progress = Progress()
        self.ema: AveragedModel | None = None
        if config.ema_decay is not None and accelerator.is_main_process:
            self.ema = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))

    @property
    def result(self) -> nn.Module:
        """The model to validate and to keep: the moving average where there is one."""
        return self.model if self.ema is None else self.ema.module

    def capture(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """Groups of tensors and the JSON state of a checkpoint.

        Raises:
            NumericsError: a weight is not finite, so there is nothing worth keeping.
        """
        tensors = {"model": self.model.state_dict(), "optim": optimizer_tensors(self.optimizer)}
        state: dict[str, Any] = {"progress": asdict(self.progress), "scaler": self.precision.scaler.state_dict()}
        if self.ema is not None:
            tensors["ema"] = self.ema.module.state_dict()
            state["ema_steps"] = int(self.ema.n_averaged)
        self._require_finite(tensors["model"])
        return tensors, state

    def restore(self, checkpoint: Checkpoint) -> None:
        """Inverse of `capture`.

        Raises:
            CheckpointError: the checkpoint is damaged or belongs to another model.
        """
        source = f"{checkpoint.path.name}/model.safetensors"
        load_strict(self.model, checkpoint.tensors("model"), source)
        restore_optimizer(self.optimizer, checkpoint.tensors("optim"))
        if self.precision.scaler.is_enabled() and checkpoint.state["scaler"]:
            self.precision.scaler.load_state_dict(checkpoint.state["scaler"])
        if self.ema is not None:
            averaged = "ema_steps" in checkpoint.state
            load_strict(self.ema.module, checkpoint.tensors("ema" if averaged else "model"), source)
            self.ema.n_averaged.fill_(checkpoint.state.get("ema_steps", 0))
        self.progress = Progress(**checkpoint.state["progress"])

    def _require_finite(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise NumericsError(
                    f"expected finite weights, got inf or NaN in {name} after step {self.progress.step}: the last "
                    "checkpoint is sound; lower lr"
                )
