"""The training loop: one optimiser step after the other, safe to kill at any time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor

from ..checkpoints import clear_unfinished, latest_checkpoint, save_checkpoint, save_model
from ..errors import ConfigError, NumericsError
from ..logs import get_logger, progress
from ..order import batch_indices, steps_per_epoch, stream_key
from ..runs import RunDir
from .accelerator import make_accelerator
from .config import TrainConfig
from .device import resolve_device
from .distributed import main_process_first, rank, sum_across_ranks, wait_for_all, world_size
from .failures import resource_errors
from .feed import check_divisible, feed
from .optim import learning_rate
from .recorder import Recorder
from .signals import StopSignals
from .state import TrainState
from .task import Batch, Task
from .validation import Validation

log = get_logger(__name__)

Stop = Literal["finished", "time", "patience"]


@dataclass(frozen=True)
class FitResult:
    """What a finished `fit` leaves; both paths are directories for `load_model`."""

    step: int
    best_metric: float | None
    best_path: Path
    last_path: Path
    stopped: Stop


def fit(
    task: Task,
    config: TrainConfig,
    run: RunDir,
    *,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
) -> FitResult:
    """Train until the steps, the minutes or the patience are used up.

    On SIGTERM or SIGINT it writes a checkpoint at the next step boundary and raises `SystemExit(143)` or
    `KeyboardInterrupt`. Killed in any other way, a resumed run goes on from the last checkpoint; on a CPU its
    weights and metrics end bit-equal to those of a run that was never stopped.

    Args:
        task: model, samples and loss.
        config: how to train.
        run: the open run directory.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        resume: go on from the newest sound checkpoint in `run`, if there is one.
        quiet: no progress on stderr.

    Returns:
        Where the best and the last weights are; they are moving averages where `ema_decay` is set.

    Raises:
        ConfigError: the batch does not divide, the data set is smaller than a batch, `monitor` is unknown.
        ResourceError: no such device, no memory, a full disk, a loader worker or another process died.
        NumericsError: loss or gradient were not finite more than `max_bad_steps` times.
        CheckpointError: the checkpoint belongs to another model.
    """
    target = resolve_device(device)
    check_divisible(config)
    epoch_steps = steps_per_epoch(task.train_size(), config.batch_size)
    accelerator = make_accelerator(target, config.accumulate)
    model = task.model
    with (
        resource_errors(config),
        torch.random.fork_rng(devices=[accelerator.device] if target.type == "cuda" else []),
        StopSignals() as signals,
    ):
        try:
            return _Loop(task, config, run, accelerator, signals, epoch_steps).run(resume, quiet)
        finally:
            task.model = model


class _Loop:
    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        run: RunDir,
        accelerator: Accelerator,
        signals: StopSignals,
        epoch_steps: int,
    ) -> None:
        self.task, self.config, self.run_dir, self.accelerator = task, config, run, accelerator
        self.signals, self.epoch_steps = signals, epoch_steps
        self.total = config.max_steps or config.epochs * epoch_steps
        self.state = TrainState(task.model, config, accelerator)
        self.task.model = self.state.wrapped
        self.interrupted = self.out_of_time = False

    def run(self, resume: bool, quiet: bool) -> FitResult:
        if resume:
            self._resume()
        done = self.state.progress
        self.recorder = Recorder(self.run_dir, self.config, done, self.epoch_steps)
        self.validate = Validation(self.task, self.config, self.run_dir, self.state, self.recorder)
        self.started = time.monotonic() - done.elapsed_s
        self.state.model.train()
        batches = feed(self.task, self.config, done.step, self.total)
        stopped = self._reason()
        with progress(self.total, "training", quiet=quiet) as bar:
            bar.update(done.step)
            while stopped is None:
                bar.update(1, **self._step(next(batches)))
                if self.interrupted:
                    self._checkpoint()
                    self.signals.leave()
                stopped = self._after_step()
        best, last = (self.run_dir.checkpoints / name for name in ("best", "last"))
        if rank() == 0:
            save_model(last, self.state.result.state_dict(), self.task.model_config())
        wait_for_all()
        return FitResult(done.step, done.best, best, last, stopped)

    def _resume(self) -> None:
        with main_process_first():
            if rank() == 0:
                clear_unfinished(self.run_dir.checkpoints)
            checkpoint = latest_checkpoint(self.run_dir.checkpoints)
        step = 0 if checkpoint is None else checkpoint.step
        if int(sum_across_ranks(torch.tensor(step))) != step * world_size():
            raise ConfigError("the processes see different checkpoints: put the run directory on a shared disk")
        if checkpoint is not None:
            self.state.restore(checkpoint)
        self.run_dir.truncate_metrics(after_step=step)
        log.info("resumed after step %d", step)

    def _reason(self) -> Stop | None:
        """Why training ends here, if it does."""
        done, config = self.state.progress, self.config
        if done.step >= self.total:
            return "finished"
        if self.out_of_time or (config.max_minutes and done.elapsed_s >= 60 * config.max_minutes):
            return "time"
        return "patience" if config.patience and done.stale >= config.patience else None

    def _after_step(self) -> Stop | None:
        """Validate and save where it is due; why training ends, if it does."""
        step, config = self.state.progress.step, self.config
        stopped = self._reason()
        if stopped or step % config.validate_every == 0:
            self.validate()
            stopped = stopped or self._reason()
        if stopped or step % config.checkpoint_every == 0:
            self._checkpoint()
        return stopped

    def _checkpoint(self) -> None:
        if rank() == 0:
            tensors, state = self.state.capture()
            done = self.state.progress
            save_checkpoint(self.run_dir.checkpoints, done.step, tensors, state, keep=self.config.keep)
        wait_for_all()

    def _step(self, batches: list[Batch]) -> dict[str, float]:
        """One optimiser step; returns what the progress bar shows."""
        config, state, scaler = self.config, self.state, self.state.precision.scaler
        step = state.progress.step
        torch.manual_seed(stream_key(config.seed, "torch", step, rank()) % 2**63)  # dropout
        lr = learning_rate(config, step, self.total, self.epoch_steps)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        statistics = [(buffer, buffer.clone()) for buffer in state.model.buffers()]
        losses = self._agree(self._backward(batches))
        scaler.unscale_(state.optimizer)
        norm = self._clip()
        state.progress.step += 1
        if math.isfinite(losses["loss"]) and math.isfinite(norm):
            scaler.step(state.optimizer)
            if state.ema is not None:
                state.ema.update_parameters(state.model)
        else:
            for buffer, before in statistics:  # one NaN in a running mean, or in a moment, would stay for good
                buffer.copy_(before)
            if not math.isfinite(losses["loss"]) or not state.precision.may_overflow():
                self._skip(losses["loss"], norm)
        scaler.update()
        state.optimizer.zero_grad()
        self.recorder.losses(losses, lr)
        return {"loss": losses["loss"], "lr": lr}

    def _backward(self, batches: list[Batch]) -> dict[str, Tensor]:
        """Gradients of the whole batch; the means of the loss parts over the micro-batches."""
        scaler = self.state.precision.scaler
        means: dict[str, Tensor] = {}
        for batch in batches:
            with self.accelerator.accumulate(self.state.wrapped):
                with self.state.precision.autocast():
                    parts = self.task.loss(send_to_device(batch, self.accelerator.device, non_blocking=True))
                self.accelerator.backward(scaler.scale(parts["loss"]))
            for name, value in parts.items():
                means[name] = means.get(name, 0) + value.detach().float() / len(batches)
        return means

    def _agree(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Mean losses over the processes and, in the same message, whether any of them has to stop."""
        done, limit = self.state.progress, self.config.max_minutes
        done.elapsed_s = time.monotonic() - self.started
        flags = [self.signals.received is not None, limit is not None and done.elapsed_s >= 60 * limit]
        local = torch.stack([*losses.values(), *losses["loss"].new_tensor(flags, dtype=torch.float32)])
        *values, signalled, late = (sum_across_ranks(local) / world_size()).tolist()
        self.interrupted, self.out_of_time = signalled > 0, late > 0
        return dict(zip(losses, values, strict=True))

    def _clip(self) -> float:
        """L2 norm of the gradient, which is then clipped if it is finite."""
        parameters = [p for p in self.state.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.config.clip_norm is not None and torch.isfinite(norm):
            torch.nn.utils.clip_grads_with_norm_(parameters, self.config.clip_norm, norm)
        return float(norm)

    def _skip(self, loss: float, norm: float) -> None:
        """Write down which samples gave no finite number; give up after too many."""
        done, config = self.state.progress, self.config
        done.bad_steps += 1
        _, indices = batch_indices(self.task.train_size(), config.batch_size, config.seed, done.step - 1)
        self.recorder.write("skipped", indices=indices.tolist(), loss=repr(loss), grad_norm=repr(norm))
        if done.bad_steps > config.max_bad_steps:
            raise NumericsError(
                f"expected a finite loss and gradient, got loss {loss} and gradient norm {norm} in step "
                f"{done.step}, bad step {done.bad_steps} with max_bad_steps={config.max_bad_steps} (samples in "
                "metrics.jsonl): lower lr, set clip_norm or use precision=fp32"
            )
        log.warning("step %d skipped: loss %s, gradient norm %s", done.step, loss, norm)
