"""A data set in, a run directory with a trained warp out."""

from __future__ import annotations

from pathlib import Path

import torch

from .._shared.config import to_toml
from .._shared.engine.device import resolve_device
from .._shared.engine.distributed import rank
from .._shared.engine.loop import FitResult, fit
from .._shared.errors import ConfigError, DataError
from .._shared.runs import RunDir
from ..data.content import identity
from ..data.sample import Dataset
from .config import WarpConfig
from .model import WarpNet
from .task import WarpTask, load_samples

# These change how long a run lasts or where it computes, not what it computes.
MUTABLE = tuple(f"train.{name}" for name in ("max_minutes", "workers", "log_every", "keep"))


def train_warp(
    dataset: Dataset,
    config: WarpConfig,
    run_dir: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    allow_config_change: bool = False,
    quiet: bool = False,
) -> FitResult:
    """Train the warp on pairs of a photo and the garment worn in it; safe to kill at any time.

    Args:
        dataset: paired; the last `config.held_out` pairs choose the best weights.
        config: the run's settings.
        run_dir: where everything is written.
        device: "auto", "cpu", "cuda", ...
        resume: continue the run in `run_dir`, bit-exact on a CPU.
        allow_config_change: continue although settings or data differ.
        quiet: no progress.

    Raises:
        ConfigError: not the paired setting, or a run that is there already.
        DataError: too few pairs, or files that cannot be used.
        ResourceError: no memory, disk or device.
        NumericsError: the loss is not finite more often than allowed.
    """
    resolve_device(device)
    if dataset.setting != "paired":
        raise ConfigError("training needs the paired setting: the photo shows the garment as it is worn")
    if len(dataset.samples) <= config.held_out:
        raise DataError(
            f"{dataset.pairs}: {len(dataset.samples)} pairs, of which held_out={config.held_out} are kept apart; "
            "nothing is left to train on; choose fewer with --set held_out=N"
        )
    with RunDir.open(
        run_dir,
        config_toml=to_toml(config),
        resume=resume,
        allow_config_change=allow_config_change,
        mutable=MUTABLE,
    ) as run:
        if rank() == 0:  # gigabytes to read
            run.write_data({**identity(dataset), "count": len(dataset.samples), "held_out": config.held_out})
        samples = load_samples(dataset.samples, config.model.side_px, quiet=quiet)
        cut = len(samples) - config.held_out
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.train.seed)
            model = WarpNet(config.model)
        task = WarpTask(model, samples[:cut], samples[cut:], config)
        return fit(task, config.train, run, device=device, resume=resume, quiet=quiet)
