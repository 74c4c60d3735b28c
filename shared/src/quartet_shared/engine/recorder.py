"""Numbers of a run on their way to metrics.jsonl and TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..runs import RunDir
from .config import TrainConfig
from .state import Progress

if TYPE_CHECKING:
    from .tensorboard import TensorBoard


class Recorder:
    """Writes records that carry split, step, epoch and elapsed time; on rank 0 only, as `RunDir` does."""

    def __init__(self, run: RunDir, config: TrainConfig, progress: Progress, epoch_steps: int) -> None:
        self._run, self._log_every = run, config.log_every
        self._progress, self._epoch_steps = progress, epoch_steps
        self._board = _open_board(run, progress.step) if config.tensorboard else None

    def write(self, split: str, **values: Any) -> None:
        """Write one record about the last step done; epochs count from 0."""
        done = self._progress
        where = {"split": split, "step": done.step, "epoch": (done.step - 1) // self._epoch_steps}
        self._run.log({**where, **values, "elapsed_s": round(done.elapsed_s, 3)})
        if self._board is not None:
            self._board.log(split, done.step, values)

    def losses(self, losses: Mapping[str, float], lr: float) -> None:
        """Add the losses of a step; every log_every steps, write their means since the last record.

        Steps without a finite loss are not in the means. The sums live in `Progress`, so that a resumed run writes
        the same record.
        """
        done = self._progress
        if math.isfinite(losses["loss"]):
            done.window_steps += 1
            for name, value in losses.items():
                done.window[name] = done.window.get(name, 0.0) + value
        if done.step % self._log_every == 0 and done.window_steps:
            self.write("train", **{name: value / done.window_steps for name, value in done.window.items()}, lr=lr)
            done.window, done.window_steps = {}, 0


def _open_board(run: RunDir, step: int) -> TensorBoard:
    from .tensorboard import TensorBoard

    return TensorBoard(run.path / "tensorboard", step)
