"""Mixed precision, the same on every device."""

from __future__ import annotations

import torch

from .config import TrainConfig

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Autocast for forward and loss, and a gradient scaler for fp16 (one that is off passes all through).

    torch's own instead of accelerate's: accelerate has no scaler for fp16 on a CPU (its `Accelerator.__init__`
    makes one only if `device.type != "cpu"`) and fixes one precision per Python process.
    """

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self._device = device.type
        self._type = _TYPES[config.precision]
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")

    def autocast(self) -> torch.autocast:
        """Context in which forward and loss run."""
        return torch.autocast(self._device, dtype=self._type, enabled=self._type != torch.float32)

    def may_overflow(self) -> bool:
        """Whether a non-finite gradient can be the scale's fault: the scaler then lowers it, which is no error."""
        return self.scaler.is_enabled() and self.scaler.get_scale() > 1
