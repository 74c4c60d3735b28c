"""`cmcgns synth FORMAT DIR`: a small data set of any supported format, with planted structure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from .._shared.errors import ConfigError
from .._shared.files import require_writable_dir
from ..data.pairs import PairDataset
from .labelled import write_chexpert, write_covidx, write_object_cxr, write_rsna, write_siim, write_vindr
from .paired import (
    write_chexpert_plus,
    write_iuxray,
    write_mimic,
    write_ms_cxr,
    write_padchest_gr,
    write_roco,
    write_table,
)
from .planted import planted_dataset

MIN_FILMS = 10  # so that every side of every layout has a film


def _write_shards(root: Path, dataset: PairDataset) -> None:
    from ..prepare import write_shards

    write_shards(dataset, root, side_px=None, shard_size=max(1, len(dataset) // 2), workers=1)


WRITERS: dict[str, Callable[[Path, PairDataset], None]] = {
    "mimic-cxr": write_mimic,
    "chexpert": write_chexpert,
    "chexpert-plus": write_chexpert_plus,
    "rsna": write_rsna,
    "covidx": write_covidx,
    "siim": write_siim,
    "object-cxr": write_object_cxr,
    "iu-xray": write_iuxray,
    "roco": write_roco,
    "padchest-gr": write_padchest_gr,
    "ms-cxr": write_ms_cxr,
    "vindr": write_vindr,
    "csv": partial(write_table, kind="csv"),
    "parquet": partial(write_table, kind="parquet"),
    "jsonl": partial(write_table, kind="jsonl"),
    "webdataset": _write_shards,
}


def write_synthetic(layout: str, root: Path, *, films: int = 12, side_px: int = 64, seed: int = 0) -> None:
    """Write `films` planted films (two per patient) in one of the supported layouts.

    Args:
        layout: a format of `cmcgns.data.formats`.
        root: folder to write; made if missing.
        films: number of films.
        side_px: side of the films.
        seed: of everything random.

    Raises:
        ConfigError: unknown layout, too few films, or `root` is not empty.
        ResourceError: `root` cannot be written.
    """
    if layout not in WRITERS:
        raise ConfigError(f"format {layout!r} is unknown; choose one of {', '.join(WRITERS)}")
    if films < MIN_FILMS:
        raise ConfigError(f"films: expected at least {MIN_FILMS}, so that every side has one, got {films}")
    require_writable_dir(root)
    if any(root.iterdir()):
        raise ConfigError(f"{root.name}: not empty; choose another folder, nothing was written")
    WRITERS[layout](root, planted_dataset(films, seed=seed, side_px=side_px))
