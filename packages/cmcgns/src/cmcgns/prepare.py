"""Data set in, resized shards out: decoded and scaled once, then read in any order without decoding films again."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from ._shared.errors import ConfigError, DataError
from ._shared.files import atomic_path, atomic_write, require_writable_dir
from ._shared.logs import progress
from .data.pairs import Pair, PairDataset
from .data.pixels import read_mask_source, read_pixels
from .data.shards import describe_pair

INDEX = "shards.json"
_Job = tuple[Path, list[Pair], int, int | None]  # shard, its samples, number of the first, long side


@dataclass(frozen=True)
class ShardReport:
    """What `write_shards` did.

    Attributes:
        shards: files of the set.
        films: films in them.
        reused: shards that an interrupted run had finished.
        excluded: reason per film that could not be read.
    """

    shards: int
    films: int
    reused: int
    excluded: dict[str, str]


def write_shards(
    dataset: PairDataset,
    root: Path,
    *,
    side_px: int | None = 256,
    shard_size: int = 1000,
    workers: int = 1,
    resume: bool = False,
    max_excluded_fraction: float = 0.05,
    quiet: bool = True,
) -> ShardReport:
    """Write a data set as webdataset shards: 8-bit PNG films, their masks, and everything else as JSON.

    Shards are written whole, each by one process; a shard's content depends on the data set alone, so an interrupted
    run goes on with the shards that are missing.

    Args:
        dataset: what to write.
        root: folder for `shard-00000.tar`, ... and `shards.json`.
        side_px: long side of the films, which are never enlarged; None keeps their size.
        shard_size: films per shard.
        workers: processes.
        resume: continue in a folder that has shards.
        max_excluded_fraction: films that may be unreadable.
        quiet: no progress.

    Raises:
        ConfigError: the folder has shards and `resume` is not given, or they were made with other settings.
        DataError: too many films cannot be read.
        ResourceError: the folder cannot be written.
    """
    require_writable_dir(root)
    plan = {"films": len(dataset), "side_px": side_px, "shard_size": shard_size, "order": _fingerprint(dataset)}
    _open_folder(root, plan, resume)
    groups = [range(i, min(i + shard_size, len(dataset))) for i in range(0, len(dataset), shard_size)]
    jobs = []
    for number, group in enumerate(groups):
        path = root / f"shard-{number:05d}.tar"
        if not path.is_file():
            jobs.append((path, [dataset[i] for i in group], group.start, side_px))
    reasons = dict(_run(jobs, workers, quiet))
    excluded = {str(k): v for _, found in sorted(reasons.items()) for k, v in found.items()}
    excluded = {**_earlier(root), **excluded}
    if len(excluded) > max_excluded_fraction * len(dataset):
        first = next(iter(excluded.values()))
        raise DataError(f"{len(excluded)} of {len(dataset)} films cannot be read, the first: {first}")
    report = ShardReport(len(groups), len(dataset) - len(excluded), len(groups) - len(jobs), excluded)
    atomic_write(root / INDEX, json.dumps({**plan, "complete": True, "excluded": excluded}, indent=1))
    return report


def resize_film(film: NDArray[np.float32], side_px: int | None) -> NDArray[np.uint8]:
    """A film (H, W) in [0, 1] -> uint8 whose long side is at most `side_px`, by area."""
    height, width = film.shape
    if side_px is not None and max(height, width) > side_px:
        scale = side_px / max(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        film = interpolate(torch.from_numpy(film)[None, None], size, mode="area")[0, 0].numpy()
    return np.rint(film * 255).astype(np.uint8)


def _open_folder(root: Path, plan: dict[str, Any], resume: bool) -> None:
    index = root / INDEX
    if not index.is_file():
        if any(root.iterdir()):  # shards beside other files would change what the folder is taken for
            raise ConfigError(
                f"{root.name}: holds other files; choose an empty or new folder, nothing was written"
            )
        atomic_write(index, json.dumps({**plan, "complete": False, "excluded": {}}, indent=1))
        return
    if not resume:
        raise ConfigError(f"{root.name}: has shards already; pass --resume to complete them, or another folder")
    try:
        old = json.loads(index.read_text())
    except ValueError as err:
        raise ConfigError(f"{root.name}/{INDEX}: damaged; remove the folder and prepare again") from err
    changed = [key for key, value in plan.items() if old.get(key) != value]
    if changed:
        raise ConfigError(f"{root.name}: was made with other {', '.join(changed)}; choose another folder")


def _earlier(root: Path) -> dict[str, str]:
    """Reasons of films that finished shards of an earlier run left out; each shard keeps its own list."""
    found: dict[str, str] = {}
    for path in sorted(root.glob("shard-*.excluded.json")):
        found |= json.loads(path.read_text())
    return found


def _fingerprint(dataset: PairDataset) -> str:
    """Changes when samples, their order, texts, labels or sides change."""
    digest = hashlib.sha256()
    for pair in dataset:
        digest.update(json.dumps(describe_pair(pair), sort_keys=True).encode())
    return digest.hexdigest()


def _run(jobs: Sequence[_Job], workers: int, quiet: bool) -> Iterator[tuple[int, dict[str, str]]]:
    with ExitStack() as stack:
        bar = stack.enter_context(progress(len(jobs), "shards", quiet=quiet))
        done: Iterator[tuple[int, dict[str, str]]] = map(_write_shard, jobs)
        if workers > 1 and len(jobs) > 1:
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
            done = pool.map(_write_shard, jobs)
        for result in done:
            bar.update()
            yield result


def _write_shard(job: _Job) -> tuple[int, dict[str, str]]:
    from webdataset import TarWriter

    path, pairs, start, side_px = job
    excluded = {}
    with atomic_path(path) as temporary:
        with temporary.open("wb") as stream, TarWriter(stream, encoder=False, mtime=0) as tar:
            for number, pair in enumerate(pairs, start=start):
                try:
                    sample = _sample(pair, side_px)
                except DataError as err:
                    excluded[f"sample {number}"] = str(err)
                    continue
                tar.write({"__key__": f"{number:07d}", **sample})
        if excluded:
            atomic_write(path.with_suffix(".excluded.json"), json.dumps(excluded))
    return start, excluded


def _sample(pair: Pair, side_px: int | None) -> dict[str, bytes]:
    sample = {
        "png": _png(resize_film(read_pixels(pair.image), side_px)),
        "json": json.dumps(describe_pair(pair)).encode(),
    }
    if pair.mask is not None:
        mask = read_mask_source(pair.mask).astype(np.float32)
        sample["mask.png"] = _png(np.where(resize_film(mask, side_px) >= 128, 255, 0).astype(np.uint8))
    return sample


def _png(image: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG")
    return stream.getvalue()
