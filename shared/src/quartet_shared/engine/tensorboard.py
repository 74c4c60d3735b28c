"""TensorBoard events beside metrics.jsonl; imported only when `tensorboard = true`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError


class TensorBoard:
    """Writes the numbers of a record under `<split>/<name>`."""

    def __init__(self, directory: Path, step: int) -> None:
        """Open the log; events after `step`, from a run that was killed, are hidden.

        Raises:
            ConfigError: the extra is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as err:
            raise ConfigError("tensorboard=true needs the extra `tensorboard`: install it") from err
        self._writer = SummaryWriter(str(directory), purge_step=step + 1)

    def log(self, split: str, step: int, values: Mapping[str, Any]) -> None:
        """Write the floating-point values of one record."""
        for name, value in values.items():
            if isinstance(value, float):
                self._writer.add_scalar(f"{split}/{name}", value, step)
        self._writer.flush()
