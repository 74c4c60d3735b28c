"""Labelled breasts in, run directory with the best and last weights out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._shared.config import to_toml
from ._shared.engine.device import resolve_device
from ._shared.engine.loop import FitResult, fit
from ._shared.order import steps_per_epoch
from ._shared.runs import RunDir
from .config import Config
from .preprocess import BreastInput
from .task import BreastTask, Objective, build_net

# These change how long a run lasts or where it computes, not what it computes.
MUTABLE = ("train.max_minutes", "train.workers", "train.log_every", "train.keep")


def build_task(
    config: Config, train: Sequence[BreastInput], validation: Sequence[BreastInput], *, phantom: bool = False
) -> BreastTask:
    """The task for the shared loop.

    Args:
        config: the run's settings.
        train: labelled breasts.
        validation: labelled breasts of other patients.
        phantom: the breasts are synthetic, so that everything the model says is stamped.
    """
    net = build_net(config)
    steps = config.train.max_steps or config.train.epochs * steps_per_epoch(len(train), config.train.batch_size)
    ramp = int(config.loss.ramp_fraction * steps * config.train.accumulate)
    saved: dict[str, Any] = {
        "package": "breastmri",
        "format": 1,
        "model": net.config,
        "loss": config.loss.model_dump(),
        "preprocessing": config.data.preprocessing.model_dump(),
        "phantom": phantom,
    }
    return BreastTask(Objective(net, config.loss, ramp), train, validation, config.augment, saved)


def train_breasts(
    config: Config,
    train: Sequence[BreastInput],
    validation: Sequence[BreastInput],
    run_dir: Path,
    *,
    phantom: bool = False,
    device: str = "auto",
    resume: bool = False,
    allow_config_change: bool = False,
    quiet: bool = False,
) -> FitResult:
    """Train on breasts in memory (or a lazy sequence of them); safe to kill at any time.

    Raises:
        ConfigError: the directory holds another run, or the settings changed.
        DataError: a breast without label.
        ResourceError: no memory, disk or device.
        NumericsError: the loss is not finite more often than allowed.
    """
    resolve_device(device)
    with RunDir.open(
        run_dir,
        config_toml=to_toml(config),
        resume=resume,
        allow_config_change=allow_config_change,
        mutable=MUTABLE,
    ) as run:
        task = build_task(config, train, validation, phantom=phantom)
        return fit(task, config.train, run, device=device, resume=resume, quiet=quiet)
