"""A trained model over a data set: one PNG per pair, resumable, in the form that `tryon-bench run` writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .._shared.errors import ConfigError, DataError
from .._shared.files import require_writable_dir
from .._shared.io.images import write_png
from .._shared.logs import progress
from ..data.predictions import resolve_predictions
from ..data.sample import Dataset, Sample
from ..engine.images import decode
from ..engine.processes import own_device
from ..methods.run import claim_results, description_of, write_manifest
from .compose import ComposeMode, compose
from .frames import Pixels, undone
from .pairs import PreparedPair, prepare_pair, to_tensors
from .sampler import SamplerSettings, draw, initial_noise
from .storage import TrainedModel

SEED_RULE = "Philox keyed by SHA-256 of seed and pair_id"


@dataclass(frozen=True)
class SampleRequest:
    """What to make of a data set.

    Attributes:
        settings: of the sampler.
        compose: how result and photo are put together.
        batch_size: pairs at once; changes nothing but rounding.
        seed: of the run.
        start: folder of coarse results to begin with, such as those of `tryon-bench run tps_contour`.
        shard: (index, number): this process makes every n-th pair.
    """

    settings: SamplerSettings
    compose: ComposeMode = "paste"
    batch_size: int = 4
    seed: int = 0
    start: Path | None = None
    shard: tuple[int, int] = (0, 1)


def sample_dataset(
    trained: TrainedModel,
    dataset: Dataset,
    out: Path,
    request: SampleRequest,
    *,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
) -> int:
    """Dress everybody.

    `out` gets `<pair_id>.png`, `run.json` (model, sampler, seed rule, size) and, when all pairs are there,
    `manifest.jsonl`.

    Args:
        trained: see `storage.load_trained`.
        dataset: rows.
        out: folder; empty, or of the same run with `resume` or another shard.
        request: how.
        device: "auto", "cpu", "cuda", ...
        resume: keep the results that are there.
        quiet: no progress.

    Returns:
        Number of results that were made now.

    Raises:
        ConfigError: results are there without `resume`, or of another run.
        DataError: a damaged file, or what a hint needs is missing.
        ResourceError: no such device, or `out` cannot be written.
    """
    where = own_device(device)
    require_writable_dir(out)
    index, count = request.shard
    starts = None if request.start is None else resolve_predictions(dataset, request.start)
    claim_results(out, _description(trained, dataset, request), resume or count > 1)
    mine = [sample for sample in dataset.samples[index::count] if not _result(out, sample).exists()]
    trained.model.to(where)
    with progress(len(dataset.samples[index::count]), "sampling", quiet=quiet) as bar:
        bar.update(len(dataset.samples[index::count]) - len(mine))
        for start in range(0, len(mine), request.batch_size):
            samples = mine[start : start + request.batch_size]
            for sample, image in zip(samples, _pictures(trained, samples, starts, request, where), strict=True):
                write_png(_result(out, sample), image)
                bar.update()
    if all(_result(out, sample).exists() for sample in dataset.samples):
        write_manifest(dataset, out)
    return len(mine)


def _pictures(
    trained: TrainedModel,
    samples: Sequence[Sample],
    starts: dict[str, Path] | None,
    request: SampleRequest,
    device: torch.device,
) -> Iterator[Pixels]:
    """Results of one batch at the photos' own sizes."""
    base, config = trained.model.components, trained.config.frame
    pairs = [prepare_pair(sample, config, base.ref_px) for sample in samples]
    batch = {name: value.to(device) for name, value in to_tensors(pairs, config).items()}
    shape = (4, config.height_px // base.vae_factor, config.width_px // base.vae_factor)
    noise = [initial_noise(request.seed, pair.pair_id, shape) for pair in pairs]
    coarse = None if starts is None else _coarse(pairs, starts).to(device)
    images = draw(trained.model, batch, noise, config, request.settings, coarse)
    for pair, image in zip(pairs, images.cpu(), strict=True):
        pixels = (image.movedim(0, 2).numpy() * 255).round().astype(np.uint8)
        yield compose(undone(pixels, pair.frame), pair.person, pair.repaint, request.compose)


def _coarse(pairs: Sequence[PreparedPair], starts: dict[str, Path]) -> Tensor:
    images = []
    for pair in pairs:
        picture = decode(starts[pair.pair_id])
        if picture.shape != pair.person.shape:
            raise DataError(
                f"{starts[pair.pair_id].name}: {picture.shape}, the photo has {pair.person.shape}; results to start "
                "from have the photos' size"
            )
        images.append(pair.frame.photo(picture, "edge"))
    return torch.from_numpy(np.moveaxis(np.stack(images), 3, 1).astype(np.float32) / 127.5 - 1)


def _description(trained: TrainedModel, dataset: Dataset, request: SampleRequest) -> dict[str, object]:
    if request.batch_size < 1:
        raise ConfigError(f"--batch-size: expected at least 1, got {request.batch_size}")
    frame = trained.config.frame
    return {
        "method": "controlnet-pbe",
        "version": trained.sha256,
        **description_of(dataset, request.seed),
        "note": trained.note,
        "seed_rule": SEED_RULE,
        **asdict(request.settings),
        "compose": request.compose,
        "start": "" if request.start is None else request.start.name,
        "size": [frame.height_px, frame.width_px],
        "square": frame.square,
        "hints": list(frame.hints),
    }


def _result(out: Path, sample: Sample) -> Path:
    return out / f"{sample.pair_id}.png"
