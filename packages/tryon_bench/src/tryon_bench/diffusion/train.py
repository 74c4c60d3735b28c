"""A data set in, a run directory with a trained ControlNet out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel

from .._shared.checkpoints import load_model, load_strict
from .._shared.config import to_toml
from .._shared.engine.config import TrainConfig
from .._shared.engine.device import resolve_device
from .._shared.engine.distributed import rank, wait_for_all
from .._shared.engine.loop import FitResult, fit
from .._shared.engine.task import Task
from .._shared.errors import ConfigError, DataError
from .._shared.logs import get_logger
from .._shared.runs import RunDir
from ..data.content import identity
from ..data.sample import Dataset
from .components import NOISE, Components, new_controlnet, tiny_components
from .config import TINY, DiffusionConfig
from .folders import find_base, load_base
from .hints import hint_channels
from .latents import encode
from .model import JointInpainting
from .pairs import PreparedPairs, to_tensors
from .storage import BASE, base_folder, build_model, export_run, folder_sha256, joint_controlnet, write_base
from .task import Autoencoding, DenoisingTask, VaeTask

_log = get_logger(__name__)

# These change how long a run lasts or where it computes, not what it computes.
_FREE = ("max_minutes", "workers", "log_every", "keep")
MUTABLE = tuple(f"{stage}.{name}" for stage in ("train", "tiny_base.vae", "tiny_base.joint") for name in _FREE)


def train_pbe(
    dataset: Dataset,
    config: DiffusionConfig,
    run_dir: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    allow_config_change: bool = False,
    quiet: bool = False,
) -> FitResult:
    """Train a ControlNet (and LoRA layers) on a frozen Paint-by-Example; safe to kill at any time.

    With `base = "tiny"` the base is made first, in two stages of their own (`run_dir/stages`) on the same pairs: a VAE,
    then UNet, encoder and ControlNet together, for a random base is nothing that a ControlNet could steer. They are
    written to `run_dir/base`; then, as with a published base, all is frozen but the ControlNet.

    Args:
        dataset: paired.
        config: the run's settings.
        run_dir: where everything is written.
        device: "auto", "cpu", "cuda", ...
        resume: continue the run in `run_dir`, bit-exact on a CPU.
        allow_config_change: continue although settings or data differ.
        quiet: no progress.

    Returns:
        The result of the last stage.

    Raises:
        ConfigError: sizes or settings that do not fit, a run that is there already.
        DataError: the data set cannot be used.
        CheckpointError: the base cannot be used.
        ResourceError: no memory, disk or device.
        NumericsError: the loss is not finite more often than allowed.
    """
    resolve_device(device)
    if dataset.setting != "paired":
        raise ConfigError("training needs the paired setting: the photo is the answer")
    common: dict[str, Any] = {"device": device, "resume": resume, "quiet": quiet}
    with RunDir.open(
        run_dir,
        config_toml=to_toml(config),
        resume=resume,
        allow_config_change=allow_config_change,
        mutable=MUTABLE,
    ) as run:
        if rank() == 0:  # gigabytes to read
            run.write_data(describe_data(dataset, config))
        base = _base(dataset, config, run_dir, allow_config_change, common)
        base.require_size(config.frame.size)
        task = build_task(base, dataset, config, start=joint_controlnet(run_dir, config))
        result = fit(task, config.train, run, **common)
        if rank() == 0:
            export_run(run_dir, config, result.last_path, task.train_size())
        wait_for_all()
        return result


def build_task(
    base: Components, dataset: Dataset, config: DiffusionConfig, *, start: Path | None = None
) -> DenoisingTask:
    """The task of the ControlNet's training.

    Raises:
        DataError: every pair is held out.
        CheckpointError: the ControlNet to start from does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        model = build_model(base, config, start)
    train, held_out = _split(dataset, config, base.ref_px)
    return DenoisingTask(model, base.vae, base.noise, train, held_out, config)


def describe_data(dataset: Dataset, config: DiffusionConfig) -> dict[str, Any]:
    """What went in: the pairs, their files, and the base unless the run makes it itself."""
    return {
        **identity(dataset),
        "count": len(dataset.samples),
        "held_out": config.validation_pairs,
        "base_sha256": "" if config.base == TINY else folder_sha256(find_base(config.base)),
    }


def _split(dataset: Dataset, config: DiffusionConfig, ref_px: int) -> tuple[PreparedPairs, PreparedPairs]:
    """Training and validation pairs; these are the same ones where nothing is held out."""
    count = len(dataset.samples) - config.validation_pairs
    if count < 1:
        raise DataError(
            f"{dataset.pairs}: {len(dataset.samples)} pairs, of which validation_pairs={config.validation_pairs} are "
            "held out; nothing is left to train on"
        )
    train = PreparedPairs(dataset.samples[:count], config.frame, ref_px)
    return train, PreparedPairs(
        dataset.samples[count:], config.frame, ref_px
    ) if config.validation_pairs else train


def _base(
    dataset: Dataset, config: DiffusionConfig, run_dir: Path, allow: bool, common: dict[str, Any]
) -> Components:
    """The base, trained now if it is the tiny one and not there yet."""
    if config.base == TINY and not (run_dir / BASE).is_dir():
        _log.info("the tiny base is trained first: VAE, then UNet, encoder and ControlNet together")
        made, controlnet = _train_tiny(dataset, config, run_dir / "stages", allow, common)
        if rank() == 0:
            write_base(made, controlnet, run_dir)
        wait_for_all()
    return load_base(base_folder(run_dir, config))


def _train_tiny(
    dataset: Dataset, config: DiffusionConfig, stages: Path, allow: bool, common: dict[str, Any]
) -> tuple[Components, ControlNetModel]:
    # Our choice; Paint-by-Example predicts the noise. Where there is much of it, v (Salimans and Ho 2022) is the
    # picture negated, which a small network then need not find as a small difference between two noises.
    base = replace(tiny_components(config.train.seed), noise={**NOISE, "prediction_type": "v_prediction"})
    base.require_size(config.frame.size)
    pairs, held_out = _split(dataset, config, base.ref_px)
    result = _stage(VaeTask(base.vae, pairs, config), config.tiny_base.vae, config, stages / "vae", allow, common)
    load_strict(Autoencoding(base.vae), load_model(result.last_path)[0], "stages/vae")
    base.vae.register_to_config(scaling_factor=_scaling_factor(base, pairs))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        controlnet = new_controlnet(base, hint_channels(config.frame.hints))
    model = JointInpainting(base.unet, base.encoder, controlnet)
    hinted = config.model_copy(update={"drop_hint": config.tiny_base.drop_hint})
    task = DenoisingTask(model, base.vae, base.noise, pairs, held_out, hinted)
    result = _stage(task, config.tiny_base.joint, config, stages / "joint", allow, common)
    load_strict(model, load_model(result.last_path)[0], "stages/joint")
    return base, controlnet


def _stage(
    task: Task, settings: TrainConfig, config: DiffusionConfig, folder: Path, allow: bool, common: dict[str, Any]
) -> FitResult:
    with RunDir.open(
        folder,
        config_toml=to_toml(config),
        resume=common["resume"],
        allow_config_change=allow,
        mutable=MUTABLE,
    ) as run:
        return fit(task, settings, run, **common)


def _scaling_factor(base: Components, pairs: PreparedPairs) -> float:
    """One over the latents' deviation on the first pairs, so that they suit the noise's unit variance."""
    with torch.no_grad():
        images = to_tensors([pairs[i] for i in range(min(len(pairs), 32))], pairs.config)["image"]
        base.vae.cpu().register_to_config(scaling_factor=1.0)
        return float(1 / encode(base.vae, images).std())
