"""Labelled breasts in, run directory with the best and last weights out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._shared.config import to_toml
from ._shared.engine.device import resolve_device
from ._shared.engine.distributed import main_process_first
from ._shared.engine.loop import FitResult, fit
from ._shared.errors import DataError
from ._shared.logs import get_logger
from ._shared.order import steps_per_epoch
from ._shared.runs import RunDir
from .cases import digest
from .config import Config
from .prepare import Breasts, load_breasts
from .preprocess import BreastInput
from .splits import Split, training_split
from .task import BreastTask, Objective, build_net

log = get_logger(__name__)

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
    described: dict[str, Any] | None = None,
    device: str = "auto",
    resume: bool = False,
    allow_config_change: bool = False,
    quiet: bool = False,
) -> FitResult:
    """Train on a sequence of breasts; safe to kill at any time.

    Args:
        config: the run's settings.
        train: labelled breasts; a lazy sequence is fine.
        validation: labelled breasts of other patients; may be empty.
        run_dir: where everything is written.
        phantom: the breasts are synthetic.
        described: content of `data.json`.
        device: "auto", "cpu", "cuda", ...
        resume: continue the run in `run_dir`, bit-exact.
        allow_config_change: continue although settings or data differ.
        quiet: no progress.

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
        if described is not None:
            run.write_data(described)
        task = build_task(config, train, validation, phantom=phantom)
        return fit(task, config.train, run, device=device, resume=resume, quiet=quiet)


def train(
    config: Config,
    run_dir: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    allow_config_change: bool = False,
    quiet: bool = False,
) -> FitResult:
    """Train on a data set or a prepared folder.

    Args:
        config: the run's settings.
        run_dir: where everything is written.
        device: "auto", "cpu", "cuda", ...
        resume: continue the run in `run_dir`, bit-exact.
        allow_config_change: continue although settings or data differ.
        quiet: no progress.

    Raises:
        ConfigError: the directory holds another run, or the settings changed or do not fit the data.
        DataError: the data set cannot be used.
        ResourceError: no memory, disk or device.
        NumericsError: the loss is not finite more often than allowed.
    """
    resolve_device(device)  # an absent one is no reason to read the data
    with main_process_first():
        breasts = load_breasts(
            config.data.root, config.data.preprocessing, layout=config.data.layout, quiet=quiet
        ).labelled()
    refuse_many_excluded(breasts, config.data.max_excluded_fraction)
    split = training_split(breasts.facts, config.data.validation_fraction, config.train.seed)
    return train_breasts(
        config,
        breasts.subset(split.train),
        breasts.subset(split.held_out),
        run_dir,
        phantom=breasts.synthetic,
        described=describe_data(breasts, split),
        device=device,
        resume=resume,
        allow_config_change=allow_config_change,
        quiet=quiet,
    )


def refuse_many_excluded(breasts: Breasts, most: float) -> None:
    """Stop where more than a fraction of the studies cannot be used.

    Raises:
        DataError: there are more.
    """
    out, kept = len(breasts.excluded), len({fact["study_id"] for fact in breasts.facts})
    if out > most * (out + kept):
        raise DataError(
            f"{out} of {out + kept} studies cannot be used, at most {most:.0%} may; the first, number "
            f"{breasts.excluded[0].number}: {breasts.excluded[0].reason}"
        )
    if out:
        log.warning("%d studies are left out, see data.json", out)


def describe_data(breasts: Breasts, split: Split) -> dict[str, Any]:
    """What went into a run, without identifiers: roles by digest, counts, exclusions with reasons."""
    roles = dict.fromkeys(split.train, "train") | dict.fromkeys(split.held_out, "validation")
    return {
        "layout": breasts.layout,
        "synthetic": breasts.synthetic,
        "split": {"by": split.name, "train": len(split.train), "validation": len(split.held_out)},
        "breasts": [
            {
                "key": digest(f"{fact['study_id']}/{fact['side']}"),
                "patient": digest(str(fact["patient_id"])),
                "site": fact["site"],
                "label": fact["label"],
                "role": roles.get(i, "left out"),
            }
            for i, fact in enumerate(breasts.facts)
        ],
        "excluded": [{"study": one.number, "reason": one.reason} for one in breasts.excluded],
    }
