"""Which weights are the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from ..checkpoints import save_model
from ..errors import ConfigError
from ..runs import RunDir
from .config import TrainConfig
from .distributed import rank, sum_across_ranks
from .recorder import Recorder
from .state import TrainState
from .task import Task


class Validation:
    """Rank 0 validates and keeps the best weights; the others wait and learn its verdict."""

    def __init__(
        self, task: Task, config: TrainConfig, run: RunDir, state: TrainState, recorder: Recorder
    ) -> None:
        self._task, self._config, self._state, self._recorder = task, config, state, recorder
        self._best = run.checkpoints / "best"

    def __call__(self) -> None:
        """Validate now; updates `best` and `stale` of the progress on every rank.

        Raises:
            ConfigError: `monitor` is not a metric of the task.
        """
        done = self._state.progress
        if rank() == 0:
            self._judge(self._measure())
        known = [done.stale, math.nan if done.best is None else done.best]
        shared = sum_across_ranks(torch.tensor(known if rank() == 0 else [0, 0], dtype=torch.float64))
        stale, best = shared.tolist()
        done.stale, done.best = int(stale), None if math.isnan(best) else best

    def _measure(self) -> float:
        """Score of the current weights; NaN where it is undefined."""
        model = self._state.result
        model.eval()
        with torch.no_grad(), self._state.precision.autocast():
            metrics = self._task.validate(model)
        self._state.model.train()
        self._recorder.write("val", **metrics)
        return self._score(metrics)

    def _score(self, metrics: Mapping[str, float]) -> float:
        name = self._config.monitor or next(iter(metrics), None)
        if name is None:  # nothing to validate on
            return math.nan
        if name not in metrics:
            raise ConfigError(f"expected monitor to be one of {', '.join(metrics) or 'no metrics'}, got {name!r}")
        return float(metrics[name])

    def _judge(self, score: float) -> None:
        done = self._state.progress
        sign = 1 if self._config.monitor_mode == "max" else -1
        better = math.isfinite(score) and (done.best is None or sign * score > sign * done.best)
        if better or done.best is None:  # as long as no score is defined, the newest weights stand in
            save_model(self._best, self._state.result.state_dict(), self._task.model_config())
        done.best, done.stale = (score, 0) if better else (done.best, done.stale + 1)
