"""Webdataset shards: tar files of `<key>.png` or `.jpg` with `<key>.json` or `<key>.txt`, read in any order."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from .._shared.errors import DataError
from .._shared.io.archives import tar_entries
from .pairs import Pair, PairDataset, Region, ShardMember
from .pixels import read_member

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


def load_shards(root: Path) -> PairDataset:
    """Samples of every `*.tar` of a folder, or of one shard.

    A `.txt` is the report. A `.json` written by `cmcgns prepare` brings everything; of others the keys report (or
    caption, text) and patient_id are read. A sample without its own patient is its own.

    Raises:
        DataError: no shard, a damaged one, or a sample without image.
    """
    shards = sorted(root.glob("*.tar")) if root.is_dir() else [root]
    if not shards:
        raise DataError(f"{root.name}: no *.tar; expected webdataset shards")
    pairs = [_pair(key, members) for shard in shards for key, members in _samples(shard).items()]
    names = dict.fromkeys(name for pair in pairs for name in pair.labels)
    return PairDataset("webdataset", tuple(pairs), tuple(names))


def describe_pair(pair: Pair) -> dict[str, Any]:
    """Everything of a sample but its pixels, as JSON."""
    return {
        "report": pair.report,
        "sections": dict(pair.sections),
        "sample_id": pair.sample_id,
        "study_id": pair.study_id,
        "patient_id": pair.patient_id,
        "labels": dict(pair.labels),
        "regions": [{"label": r.label, "box": list(r.box), "sentence": r.sentence} for r in pair.regions],
        "split": pair.split,
        "view": pair.view,
        "synthetic": pair.synthetic,
    }


def _samples(shard: Path) -> dict[str, dict[str, ShardMember]]:
    samples: dict[str, dict[str, ShardMember]] = {}
    for entry in tar_entries(shard):
        folder, name = PurePosixPath(entry.name).parent, PurePosixPath(entry.name).name
        key, dot, suffix = name.partition(".")
        member = ShardMember(shard, name, entry.offset, entry.size)
        samples.setdefault(str(folder / key), {})[f"{dot}{suffix}".lower()] = member
    return samples


def _pair(key: str, members: dict[str, ShardMember]) -> Pair:
    image = next((members[suffix] for suffix in IMAGE_SUFFIXES if suffix in members), None)
    if image is None:
        shard = next(iter(members.values())).shard
        raise DataError(
            f"{shard.name}: a sample without {', '.join(IMAGE_SUFFIXES)}; expected image and text pairs"
        )
    fields: dict[str, Any] = {}
    if ".json" in members:
        fields = _fields(members[".json"])
    report = str(fields.get("report") or fields.get("caption") or fields.get("text") or "")
    if not report and ".txt" in members:
        report = read_member(members[".txt"]).decode(errors="replace").strip()
    try:
        regions = tuple(Region(r["label"], tuple(r["box"]), r["sentence"]) for r in fields.get("regions", ()))
        return Pair(
            image=image,
            report=report,
            sections=dict(fields.get("sections") or {}),
            sample_id=str(fields.get("sample_id") or key),
            study_id=str(fields.get("study_id") or key),
            patient_id=str(fields.get("patient_id") or key),
            labels={str(k): float(v) for k, v in (fields.get("labels") or {}).items()},
            regions=regions,
            mask=members.get(".mask.png"),
            split=fields.get("split", ""),
            view=str(fields.get("view") or ""),
            synthetic=bool(fields.get("synthetic")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise DataError(
            f"{image.shard.name}: the description of a sample is damaged; prepare the shards again"
        ) from err


def _fields(member: ShardMember) -> dict[str, Any]:
    try:
        fields = json.loads(read_member(member))
    except (ValueError, RecursionError) as err:
        raise DataError(f"{member.shard.name}: {member.name[:40]} is not readable as JSON") from err
    if not isinstance(fields, dict):
        raise DataError(f"{member.shard.name}: {member.name[:40]} is not a JSON object")
    return fields
