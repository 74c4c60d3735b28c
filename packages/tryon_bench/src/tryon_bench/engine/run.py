"""Run a plan: chunk by chunk, resumable, shared among processes or machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import ConfigError, DataError
from .._shared.files import atomic_write, require_writable_dir
from .._shared.logs import get_logger, progress
from .chunk import Chunk, hashes, read_feature, score_chunk
from .networks import load_networks
from .plan import Plan

_log = get_logger(__name__)
PLAN_FILE = "plan.json"


def run_plan(
    plan: Plan,
    run_dir: Path,
    *,
    resume: bool = False,
    shard: tuple[int, int] = (0, 1),
    cache: Path | None = None,
    quiet: bool = False,
) -> None:
    """Score all chunks of a shard that are not there yet.

    Every finished chunk is a file, so a killed run loses at most one chunk, and processes on any machines that see
    the same folder each take every n-th chunk; the numbers that `Evaluation.read` finds do not depend on how many.

    Args:
        plan: what to evaluate.
        run_dir: new, or that of the same plan with `resume` or another shard.
        resume: keep chunks whose images have not changed.
        shard: (index, number of shards).
        cache: folder of features by content.
        quiet: no progress on stderr.

    Raises:
        ConfigError: the folder belongs to another plan, holds chunks and `resume` is not set, or a wrong shard.
        DataError: an unreadable image, unless the plan allows that; or a damaged `plan.json`.
        CheckpointError: a weight file is missing.
        ResourceError: the folder cannot be written.
    """
    index, count = shard
    if not 0 <= index < count:
        raise ConfigError(f"shard {index + 1}/{count}: expected 1/{count} to {count}/{count}")
    require_writable_dir(run_dir / "chunks")
    _claim(plan, run_dir, resume or count > 1)
    mine = range(index, len(plan.chunks), count)
    networks = None
    with progress(len(mine), "evaluating", quiet=quiet) as bar:
        for number in mine:
            path = chunk_path(run_dir, number)
            if not _is_current(path, plan, number):
                networks = networks or load_networks(plan)
                score_chunk(plan.chunks[number], plan, networks, cache).write(path)
            bar.update(1)
    if networks is not None:
        atomic_write(run_dir / f"weights-{index + 1}-of-{count}.json", json.dumps(networks.weights, indent=1))


def chunk_path(run_dir: Path, number: int) -> Path:
    """File of a chunk."""
    return run_dir / "chunks" / f"{number:06d}.safetensors"


def read_chunks(run_dir: Path, plan: Plan) -> Iterator[Chunk]:
    """All chunks in order, without their features.

    Raises:
        ConfigError: some are missing; the message says how many and what to do.
        DataError: one is damaged.
    """
    return map(Chunk.read, _all_chunks(run_dir, plan))


def read_features(run_dir: Path, plan: Plan, name: str) -> NDArray[np.float32]:
    """One feature array over all chunks, "<feature set>/<method>" -> (rows, d).

    Raises:
        ConfigError, DataError: as `read_chunks`.
    """
    parts = [read_feature(path, name) for path in _all_chunks(run_dir, plan)]
    return np.concatenate([part for part in parts if part is not None])


def _all_chunks(run_dir: Path, plan: Plan) -> list[Path]:
    paths = [chunk_path(run_dir, number) for number in range(len(plan.chunks))]
    missing = sum(not path.is_file() for path in paths)
    if missing:
        raise ConfigError(
            f"{run_dir.name}: {missing} of {len(paths)} chunks are missing; run the other shards, or continue with "
            "--resume"
        )
    return paths


def _claim(plan: Plan, run_dir: Path, resume: bool) -> None:
    path = run_dir / PLAN_FILE
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))["fingerprint"]
        except (ValueError, KeyError, TypeError) as err:
            raise DataError(
                f"{run_dir.name}/{PLAN_FILE}: damaged; remove it and run the same evaluation again with --resume"
            ) from err
        if known != plan.fingerprint:
            raise ConfigError(
                f"{run_dir.name}: holds another evaluation (pairs, methods, protocols or weights differ); choose "
                "another --run-dir"
            )
        if not resume:
            raise ConfigError(f"{run_dir.name}: holds this evaluation already; continue it with --resume")
    atomic_write(path, json.dumps({"fingerprint": plan.fingerprint, "chunks": len(plan.chunks)}))


def _is_current(path: Path, plan: Plan, number: int) -> bool:
    """Whether a chunk is there and its images are still the same bytes."""
    if not path.is_file():
        return False
    if Chunk.read(path).files == hashes(plan.chunks[number], plan.methods):
        return True
    _log.warning("chunk %d: images have changed since it was scored; scoring it again", number)
    return False
