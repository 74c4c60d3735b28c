"""Pair lists of each layout: everybody in the worn garment, and everybody in somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from .cast import Actor
from .files import write_text
from .layouts import mpv_back, mpv_names

Pairs = Sequence[tuple[Actor, Actor]]


def paired(cast: Sequence[Actor]) -> Pairs:
    """Everybody in her own garment."""
    return [(actor, actor) for actor in cast]


def deranged(cast: Sequence[Actor]) -> Pairs:
    """Everybody in the garment of the next actor of her category: nobody keeps her own."""
    pairs = []
    for actor in cast:
        same = [other for other in cast if other.category == actor.category]
        pairs.append((actor, same[(same.index(actor) + 1) % len(same)]))
    return pairs


def write_lists(fmt: str, root: Path, cast: Sequence[Actor]) -> None:
    """The lists of a layout, named and written as its authors do."""
    _LISTS[fmt](root, cast)


def _vitonhd(root: Path, cast: Sequence[Actor]) -> None:
    # its only test list is the unpaired one; paired means each person's own name
    _write(
        root / "test_pairs.txt", [(f"{a.number:05d}_00.jpg", f"{b.number:05d}_00.jpg") for a, b in deranged(cast)]
    )


def _viton(root: Path, cast: Sequence[Actor]) -> None:
    for name, pairs in (("test_pairs.txt", deranged(cast)), ("test_pairs_same.txt", paired(cast))):
        _write(root / name, [(f"{a.number:06d}_0.jpg", f"{b.number:06d}_1.jpg") for a, b in pairs])


def _dresscode(root: Path, cast: Sequence[Actor]) -> None:
    for name, pairs in (("paired", paired(cast)), ("unpaired", deranged(cast))):
        rows = [(f"{a.number:06d}_0.jpg", f"{b.number:06d}_1.jpg", a.category) for a, b in pairs]
        for category in sorted({row[2] for row in rows}):
            _write(root / category / f"test_pairs_{name}.txt", [row[:2] for row in rows if row[2] == category])
        _write(root / f"test_pairs_{name}.txt", [row[:2] for row in rows])


def _mpv(root: Path, cast: Sequence[Actor]) -> None:
    rows = []
    for actor in cast:
        photo, garment = mpv_names(actor.number)
        back = mpv_back(actor.number)
        rows += [(photo, back, garment, "test"), (back, photo, garment, "test")]
    _write(root / "all_poseA_poseB_clothes.txt", rows, separator="\t")


def _manifest(root: Path, cast: Sequence[Actor]) -> None:
    header = ("pair_id", "person", "garment", "setting", "category", "parse", "parse_scheme", "agnostic_mask")
    rows: list[tuple[str, ...]] = [header]
    for setting, pairs in (("paired", paired(cast)), ("unpaired", deranged(cast))):
        for a, b in pairs:
            person, garment = f"{a.number:05d}.png", f"{b.number:05d}.png"
            rows.append(
                (
                    *(f"{person[:-4]}__{garment[:-4]}", f"persons/{person}", f"garments/{garment}", setting),
                    *(a.category, f"parses/{person}", "lip", f"agnostic_masks/{person}"),
                )
            )
    _write(root / "manifest.csv", rows, separator=",")


def _write(path: Path, rows: Sequence[Sequence[str]], separator: str = " ") -> None:
    write_text(path, "".join(separator.join(row) + "\n" for row in rows))


_LISTS: dict[str, Callable[[Path, Sequence[Actor]], None]] = {
    "vitonhd": _vitonhd,
    "viton": _viton,
    "survey-viton": _viton,
    "dresscode": _dresscode,
    "mpv": _mpv,
    "manifest": _manifest,
}
