"""Checks of a method's results: holes (row 9), sizes (row 5), formats and JPEG quality, copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..data.sample import Dataset
from .findings import Finding, listed, tally
from .survey import Looked

_POOR = 90  # JPEG quality below which the loss reaches the first decimals of SSIM and LPIPS
_SAME_SHAPE = 0.02  # relative difference of aspect ratios that rounding to whole pixels explains


def check_results(
    name: str, dataset: Dataset, predictions: Mapping[str, Path], looked: Mapping[Path, Looked]
) -> Iterator[Finding]:
    """Rows 5 and 9 and the storage of one method's results."""
    files = {pair_id: looked[path] for pair_id, path in predictions.items()}
    photos = {s.pair_id: looked[s.reference] for s in dataset.samples if s.reference is not None}
    yield from _holes(name, dataset, files)
    yield from _formats(name, files)
    yield from _quality(name, files)
    yield from _sizes(name, files, photos)
    yield from _copies(name, files, photos, dataset.setting)


def _holes(name: str, dataset: Dataset, files: Mapping[str, Looked]) -> Iterator[Finding]:
    missing = [s.pair_id for s in dataset.samples if s.pair_id not in files]
    if missing:
        yield Finding(
            "error",
            "missing_results",
            f"{len(files)} results for {len(dataset.samples)} pairs, none for {listed(missing)}; scripts that divide "
            "by the other count report another mean, finish the inference",
            9,
            name,
            tuple(missing),
        )


def _formats(name: str, files: Mapping[str, Looked]) -> Iterator[Finding]:
    facts = [file.facts for file in files.values() if file.facts]
    if facts:
        sizes = tally(f"{f.size[1]}x{f.size[0]}" for f in facts)
        yield Finding(
            "info",
            "results",
            f"{len(files)} results: {sizes} px (WxH); {tally(f.format for f in facts)}",
            None,
            name,
        )
    if len({f.format for f in facts}) > 1:
        yield Finding(
            "warning",
            "mixed_formats",
            f"results are of several formats ({tally(f.format for f in facts)})",
            None,
            name,
        )


def _quality(name: str, files: Mapping[str, Looked]) -> Iterator[Finding]:
    qualities = {p: f.facts.jpeg_quality for p, f in files.items() if f.facts and f.facts.jpeg_quality is not None}
    poor = {pair_id: quality for pair_id, quality in qualities.items() if quality < _POOR}
    if poor:
        yield Finding(
            "warning",
            "jpeg_quality",
            f"{len(poor)} results are JPEG of quality {min(poor.values())} to {max(poor.values())} (75 is Pillow's "
            "default); every metric sees that loss, save them as PNG",
            None,
            name,
            tuple(poor),
        )
    elif qualities:
        low, high = min(qualities.values()), max(qualities.values())
        yield Finding("info", "jpeg_quality", f"JPEG of quality {low} to {high}", None, name)


def _sizes(name: str, files: Mapping[str, Looked], photos: Mapping[str, Looked]) -> Iterator[Finding]:
    """Another size is resized by the protocol; another shape is another picture."""
    resized: dict[str, str] = {}
    bent: dict[str, str] = {}
    for pair_id, file in files.items():
        photo = photos.get(pair_id)
        if file.facts is None or photo is None or photo.facts is None or file.facts.size == photo.facts.size:
            continue
        (h, w), (height, width) = file.facts.size, photo.facts.size
        text = f"{w}x{h} for {width}x{height}"
        (bent if abs((w / h) / (width / height) - 1) > _SAME_SHAPE else resized)[pair_id] = text
    if bent:
        panels = _panels(files, photos, list(bent))
        yield Finding(
            "error",
            "aspect_ratio",
            f"{len(bent)} results have another shape than their photo ({tally(bent.values())}); "
            + (panels or "crop or pad them as the photo, resizing would squeeze the person"),
            5,
            name,
            tuple(bent),
        )
    if resized:
        yield Finding(
            "warning",
            "result_size",
            f"{len(resized)} results have another size than their photo ({tally(resized.values())}); the protocol "
            "resizes them, and its resampler is part of the number",
            5,
            name,
            tuple(resized),
        )


def _panels(files: Mapping[str, Looked], photos: Mapping[str, Looked], pair_ids: list[str]) -> str:
    """Several pictures side by side have a multiple of the photo's width."""
    ratios = set()
    for pair_id in pair_ids:
        file, photo = files[pair_id].facts, photos[pair_id].facts
        if file and photo:
            ratios.add((file.size[1] / file.size[0]) / (photo.size[1] / photo.size[0]))
    whole = {round(ratio) for ratio in ratios if abs(ratio - round(ratio)) < 0.05}
    if len(whole) == 1 and len(ratios) and min(whole) > 1:
        count = min(whole)
        return f"they look like {count} panels side by side, `tryon-bench register --panels {count}` cuts out the last"
    return ""


def _copies(
    name: str, files: Mapping[str, Looked], photos: Mapping[str, Looked], setting: str
) -> Iterator[Finding]:
    by_bytes = defaultdict(list)
    for pair_id, file in files.items():
        if file.sha256 and not file.problem:
            by_bytes[file.sha256].append(pair_id)
    same = [ids for ids in by_bytes.values() if len(ids) > 1]
    if same:
        yield Finding(
            "warning",
            "same_result",
            f"{sum(map(len, same))} results are copies of each other ({listed([' = '.join(g[:2]) for g in same])}); "
            "did the inference repeat itself?",
            None,
            name,
            tuple(pair_id for group in same for pair_id in group),
        )
    copied = [p for p, f in files.items() if f.sha256 and p in photos and f.sha256 == photos[p].sha256]
    if copied:
        yield Finding(
            "warning",
            "result_is_reference",
            f"{len(copied)} results are the very file of the {setting} photo ({listed(copied)}); is this the folder "
            "of results?",
            1,
            name,
            tuple(copied),
        )
