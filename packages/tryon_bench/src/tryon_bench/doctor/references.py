"""Checks of the photos that results are compared with: wrong files (row 1), sizes (row 5), duplicates (row 6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from .._shared.errors import DataError
from .._shared.files import sha256_file
from ..data.roles import IMAGE_SUFFIXES
from ..data.sample import Dataset, Sample
from ..data.stored import stored
from .findings import Finding, listed, tally
from .survey import Looked, alike


def check_references(dataset: Dataset, looked: Mapping[Path, Looked]) -> Iterator[Finding]:
    """Row 1, 5 and 6 on the photos of the list."""
    photos = {s.pair_id: looked[s.reference] for s in dataset.samples if s.reference is not None}
    yield from _wrong_files(dataset, looked)
    yield from _sizes(photos)
    yield from _mask_sizes(dataset, photos)
    yield from _twice(photos)
    yield from _in_training(dataset, photos)


def _wrong_files(dataset: Dataset, looked: Mapping[Path, Looked]) -> Iterator[Finding]:
    """Garments among the photos, by content: DressCode keeps both in one folder."""
    garments = {looked[s.garment].sha256 for s in dataset.samples} - {""}
    wrong = [s for s in dataset.samples if s.reference is not None and looked[s.reference].sha256 in garments]
    if wrong:
        yield Finding(
            "error",
            "garment_as_reference",
            f"{len(wrong)} reference photos are shop photos of garments ({_names(wrong)}); the reference set must "
            "hold the listed persons only, mend the list",
            1,
            pair_ids=tuple(s.pair_id for s in wrong),
        )


def _sizes(photos: Mapping[str, Looked]) -> Iterator[Finding]:
    sizes = [f"{p.facts.size[1]}x{p.facts.size[0]}" for p in photos.values() if p.facts]
    formats = [p.facts.format for p in photos.values() if p.facts]
    if sizes:
        yield Finding("info", "references", f"photos: {tally(sizes)} px (WxH); {tally(formats)}")
    if len(set(sizes)) > 1:
        yield Finding(
            "warning",
            "reference_sizes",
            f"photos have {len(set(sizes))} sizes ({tally(sizes)}); a protocol that keeps the native size mixes scales",
            5,
        )


def _mask_sizes(dataset: Dataset, photos: Mapping[str, Looked]) -> Iterator[Finding]:
    """A region lies on the grid of its photo, or it is another region."""
    wrong = []
    for sample in dataset.samples:
        photo = photos.get(sample.pair_id)
        for path in (sample.parse, sample.agnostic_mask):
            if path is None or photo is None or photo.facts is None:
                continue
            with suppress(DataError):  # a damaged mask is reported with the regions
                if stored(path).size != photo.facts.size:
                    wrong.append(sample)
                    break
    if wrong:
        yield Finding(
            "error",
            "mask_size",
            f"the parse or agnostic mask of {len(wrong)} photos has another size than the photo ({_names(wrong)}); "
            "regions would lie elsewhere, take those of the data set's own resolution",
            5,
            pair_ids=tuple(s.pair_id for s in wrong),
        )
    without = [s.pair_id for s in dataset.samples if s.parse is None and s.agnostic_mask is None]
    if without:
        yield Finding(
            "warning",
            "no_region",
            f"{len(without)} of {len(dataset.samples)} pairs have neither parse nor agnostic mask ({listed(without)}); "
            "the regions clothing and person are undefined there",
            pair_ids=tuple(without),
        )


def _twice(photos: Mapping[str, Looked]) -> Iterator[Finding]:
    """The same photo under several names, by its bytes and by its look."""
    by_bytes: dict[str, dict[Path, str]] = defaultdict(dict)
    for pair_id, photo in photos.items():
        if photo.sha256 and not photo.problem:
            by_bytes[photo.sha256][photo.path] = pair_id
    same = [files for files in by_bytes.values() if len(files) > 1]
    near = _near(photos)
    for groups, code, what in (
        (same, "duplicates", "are the same file"),
        (near, "near_duplicates", "look the same (thumbnails within 2 grey levels)"),
    ):
        if groups:
            names = [" = ".join(path.name for path in list(files)[:3]) for files in groups]
            yield Finding(
                "warning",
                code,
                f"photos under several names {what}: {listed(names)}; n counts them several times, intervals are too "
                "narrow and FID too small",
                6,
                pair_ids=tuple(pair_id for files in groups for pair_id in files.values()),
            )


def _near(photos: Mapping[str, Looked]) -> list[dict[Path, str]]:
    """Photos of different bytes and equal look, as pairs."""
    owners: dict[Path, tuple[str, Looked]] = {}
    for pair_id, photo in photos.items():
        if photo.look is not None:
            owners.setdefault(photo.path, (pair_id, photo))
    rows = list(owners.values())
    if len(rows) < 2:
        return []
    looks = np.stack([photo.look for _, photo in rows if photo.look is not None])
    pairs = [(rows[i], rows[j]) for i, j in alike(looks) if rows[i][1].sha256 != rows[j][1].sha256]
    return [{photo.path: pair_id for pair_id, photo in pair} for pair in pairs]


def _in_training(dataset: Dataset, photos: Mapping[str, Looked]) -> Iterator[Finding]:
    """Test photos that stand in the training folder as well; files of one length only are read."""
    by_length = defaultdict(list)
    for pair_id, photo in photos.items():
        if photo.sha256:
            by_length[photo.path.stat().st_size].append((photo.sha256, pair_id))
    found: dict[str, str] = {}
    for folder in _training_folders(photos):
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                candidates = by_length.get(path.stat().st_size, [])
                digest = sha256_file(path) if candidates else ""
                found |= {pair_id: path.name for sha, pair_id in candidates if sha == digest}
    if found:
        yield Finding(
            "warning",
            "train_test",
            f"{len(found)} test photos are in the training folder too ({listed(list(found.values()))}); methods have "
            "seen them, evaluate on a cleaned list",
            6,
            pair_ids=tuple(found),
        )


def _training_folders(photos: Mapping[str, Looked]) -> list[Path]:
    """`train/<folder>` beside `test/<folder>`."""
    folders = {photo.path.parent for photo in photos.values()}
    twins = [f.parent.parent / "train" / f.name for f in sorted(folders) if f.parent.name == "test"]
    return [twin for twin in twins if twin.is_dir()]


def _names(samples: list[Sample]) -> str:
    return listed([s.reference.name for s in samples if s.reference is not None])
