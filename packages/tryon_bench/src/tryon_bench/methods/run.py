"""Run a method over a data set: one PNG per pair, resumable, with a manifest of what was made."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from .._shared.errors import ConfigError, DataError
from .._shared.files import atomic_write, require_writable_dir, sha256_file
from .._shared.io.images import write_png
from .._shared.logs import get_logger, progress
from .._shared.strict_json import to_json
from ..data.content import CONTENT, identity
from ..data.sample import Dataset, Sample
from ..engine.images import decode
from .conditions import conditions_of
from .interface import Image, Method

_log = get_logger(__name__)
_RUN = "run.json"
MANIFEST = "manifest.jsonl"


def run_method(
    method: Method, dataset: Dataset, out: Path, *, seed: int = 0, resume: bool = False, quiet: bool = False
) -> int:
    """Dress everybody.

    `out` gets `<pair_id>.png` for every pair, `run.json` (what was run) and `manifest.jsonl` (every row with the
    SHA-256 of its result).

    Args:
        method: see `catalogue.get_method`.
        dataset: rows.
        out: folder; empty, or of the same run with `resume`.
        seed: of the run; each pair has its own, whatever the order.
        resume: keep the results that are there.
        quiet: no progress.

    Returns:
        Number of results that were made now.

    Raises:
        ConfigError: results are there without `resume`, or of another run, or of files that have changed since.
        DataError: a damaged file, or what the method refuses.
        ResourceError: `out` cannot be written.
    """
    require_writable_dir(out)
    claim_results(out, {**_named(method), **description_of(dataset, seed)}, resume)
    made = 0
    with progress(len(dataset.samples), method.id, quiet=quiet) as bar:
        for sample in dataset.samples:
            target = out / f"{sample.pair_id}.png"
            if not target.exists():  # written whole or not at all
                write_png(target, _dressed(method, sample, seed))
                made += 1
            bar.update()
    write_manifest(dataset, out)
    return made


def _named(method: Method) -> dict[str, object]:
    told = {"method": method.id, "version": method.version, "note": method.note}
    return {key: value for key, value in told.items() if value}


def _dressed(method: Method, sample: Sample, seed: int) -> Image:
    person, garment = decode(sample.person), decode(sample.garment)
    start = time.perf_counter()
    result = method(person, garment, conditions_of(sample, person, garment, seed))
    _log.debug("%s: %.2f s", sample.pair_id, time.perf_counter() - start)
    if result.shape != person.shape or result.dtype != np.uint8:
        raise DataError(
            f"{method.id}: made {result.shape} {result.dtype} for {sample.pair_id}, expected {person.shape} uint8"
        )
    return result


def description_of(dataset: Dataset, seed: int) -> dict[str, object]:
    """Which rows of what, and the run's seed: a part of `run.json`."""
    return {**identity(dataset), "seed": seed}


def claim_results(out: Path, description: dict[str, object], resume: bool) -> None:
    """Write what is run into the folder's `run.json`, or see to it that the same is resumed.

    Raises:
        ConfigError: results are there without `resume`, or of another run.
    """
    path = out / _RUN
    if not path.exists():
        if any(out.glob("*.png")):
            raise ConfigError(f"{out.name}: holds images but no {_RUN}; choose another folder")
        atomic_write(path, json.dumps(description, indent=2) + "\n")
        return
    try:
        known = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as err:
        raise ConfigError(f"{out.name}/{_RUN}: damaged; choose another folder") from err
    differing = [key for key, value in description.items() if known.get(key) != value]
    if differing == [CONTENT]:
        raise ConfigError(
            f"{out.name}: the files of the data set have changed since this run; choose another folder"
        )
    if differing:
        key = differing[0]
        raise ConfigError(f"{out.name}: holds another run ({key} {known.get(key)!r}, now {description[key]!r})")
    if not resume:
        raise ConfigError(
            f"{out.name}: holds this run already; continue it with --resume or choose another folder"
        )


def write_manifest(dataset: Dataset, out: Path) -> None:
    """`manifest.jsonl` of a folder that holds all results: every row with the SHA-256 of its result."""
    rows = [_row(sample, out / f"{sample.pair_id}.png") for sample in dataset.samples]
    atomic_write(out / MANIFEST, "\n".join(to_json(row) for row in rows) + "\n")


def _row(sample: Sample, result: Path) -> dict[str, object]:
    return {
        "pair_id": sample.pair_id,
        "person": sample.person.name,
        "garment": sample.garment.name,
        "prediction": result.name,
        "sha256": sha256_file(result),
    }
