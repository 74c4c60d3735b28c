"""`tryon-bench synth`: a tiny data set in one of the layouts, with the truth beside it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .._shared.errors import ConfigError
from .._shared.files import atomic_write, os_error, require_writable_dir
from .._shared.strict_json import to_json
from ..data.labels import CATEGORIES
from ..data.open import FORMATS, open_dataset
from .cast import Actor, draw_actor
from .corrupt import write_corrupted
from .files import write_png
from .layouts import WRITERS
from .lists import deranged, write_lists

_ABOUT_ORACLE = {"method": "synth", "note": "the answer itself, no method"}  # leaderboards repeat it
SMALLEST = (32, 24)  # below, no part of the figure is left


def write_synthetic(
    fmt: str,
    root: Path,
    *,
    cases: int = 8,
    size: tuple[int, int] = (64, 48),
    seed: int = 0,
    corrupt: bool = False,
) -> None:
    """Write a data set of drawn persons in drawn garments.

    Beside the layout's own files: `warp_gt/<person>.npz` holds the spline that dressed the person (`targets` in the
    photo and `sources` in the garment, x and y in 0..1, with `weights` and `affine`), and `oracle/<setting>/` holds
    the true result of every pair as PNG, with a note for leaderboards that these are no method's.

    Args:
        fmt: vitonhd, dresscode (cases in turn of its three categories), viton, survey-viton, mpv or manifest.
        root: a new or empty folder.
        cases: persons; each category needs two for an unpaired list.
        size: (height, width), px.
        seed: the same seed gives the same files.
        corrupt: add damaged and odd files and a list `test_pairs_corrupted.txt` that names them (vitonhd only).

    Raises:
        ConfigError: unknown format, too few cases, too small, a folder that is not empty, or `corrupt` for a layout
            other than vitonhd.
        ResourceError: the folder cannot be written.
    """
    _require(fmt, cases, size, corrupt)
    require_writable_dir(root)
    if any(root.iterdir()):
        raise ConfigError(f"{root.name}: not empty; choose another folder, nothing was written")
    unfinished = root.with_name(f".partial-{root.name}")
    shutil.rmtree(unfinished, ignore_errors=True)  # of an interrupted call
    try:
        _write(fmt, unfinished, draw_cast(fmt, cases, size, seed), corrupt)
        root.rmdir()
        unfinished.replace(root)
    except OSError as err:
        if err.errno is None:
            raise
        raise os_error(err, root) from err
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(fmt: str, root: Path, cast: Sequence[Actor], corrupt: bool) -> None:
    scenes = {actor.number: actor.photo() for actor in cast}
    for actor in cast:
        WRITERS[fmt](root, actor, scenes[actor.number])
    write_lists(fmt, root, cast)
    worn = open_dataset(root, fmt, "paired").samples
    for sample, actor in zip(worn, cast, strict=True):
        write_png(root / "oracle" / "paired" / f"{sample.pair_id}.png", scenes[actor.number].photo)
        _write_warp(root / "warp_gt" / f"{sample.pair_id.partition('__')[0]}.npz", actor)
    exchanged = open_dataset(root, fmt, "unpaired").samples
    for sample, (actor, other) in zip(exchanged, deranged(cast), strict=True):
        write_png(root / "oracle" / "unpaired" / f"{sample.pair_id}.png", actor.photo(other.garment).photo)
    for setting in ("paired", "unpaired"):
        atomic_write(root / "oracle" / setting / "run.json", to_json(_ABOUT_ORACLE, indent=2) + "\n")
    if corrupt:
        write_corrupted(root, cast[0], len(cast))


def draw_cast(fmt: str, cases: int, size: tuple[int, int], seed: int) -> list[Actor]:
    """The actors of a data set; DressCode's take turns in its categories, and are then listed category by category."""
    categories = CATEGORIES if fmt == "dresscode" else ("upper_body",)
    cast = [draw_actor(n + 1, size, seed, categories[n % len(categories)]) for n in range(cases)]
    return sorted(cast, key=lambda actor: (categories.index(actor.category), actor.number))


def _require(fmt: str, cases: int, size: tuple[int, int], corrupt: bool) -> None:
    if fmt not in FORMATS:
        raise ConfigError(f"format {fmt!r} is unknown; choose one of {', '.join(FORMATS)}")
    least = 2 * len(CATEGORIES) if fmt == "dresscode" else 2
    if cases < least:
        raise ConfigError(f"--cases {cases}: {fmt} needs at least {least}, so that garments can be exchanged")
    if size[0] < SMALLEST[0] or size[1] < SMALLEST[1] or size[1] > size[0]:
        raise ConfigError(
            f"--size {size[0]}x{size[1]}: expected HEIGHTxWIDTH, upright and at least {SMALLEST[0]}x{SMALLEST[1]}"
        )
    if corrupt and fmt != "vitonhd":
        raise ConfigError(f"--corrupt is for vitonhd; {fmt} has no names for the damaged files")


def _write_warp(path: Path, actor: Actor) -> None:
    warp = actor.warp
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, targets=warp.centres, sources=warp(warp.centres), weights=warp.weights, affine=warp.affine)
