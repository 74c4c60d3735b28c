"""accelerate, set up the same way whatever its environment variables say."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, GradientAccumulationPlugin

from ..errors import ConfigError
from .distributed import join_processes, world_size

_TESTED = {DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU}


def make_accelerator(device: torch.device, accumulate: int) -> Accelerator:
    """Accelerator of this process, connected to the others.

    Precision is ours (`Precision`); accelerate places the model, wraps it for several processes and accumulates.

    Raises:
        ConfigError: `device` names one GPU for several processes, or accelerate is set to FSDP or DeepSpeed, which
            the loop's checkpoints do not know.
    """
    if device.index is not None and world_size() > 1:
        raise ConfigError(
            f"expected device cuda or cpu for {world_size()} processes, got {device}: each takes its own"
        )
    join_processes()
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # accelerate takes the current one
    AcceleratorState._reset_state(reset_partial_state=True)  # else a process can train on one kind of device only
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no",
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=accumulate, sync_with_dataloader=False),
    )
    if accelerator.distributed_type not in _TESTED:
        raise ConfigError(
            f"expected one process or DistributedDataParallel, got {accelerator.distributed_type.value} from "
            "accelerate's environment variables: unset ACCELERATE_USE_*"
        )
    return accelerator
