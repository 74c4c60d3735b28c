"""One chunk of rows: decoded, scored, turned into features; what it leaves is a file of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .._shared.errors import DataError
from .._shared.files import atomic_write, sha256_file
from .features import REFERENCE, FeatureCollector, sets_of
from .images import Form, decode
from .networks import Networks
from .plan import Plan, Row
from .score import PairScorer, Score


@dataclass(frozen=True)
class Chunk:
    """What a chunk leaves.

    Attributes:
        scores: numbers of its pairs.
        features: "<feature set>/<method>" -> (rows, d) float32; the method of the photo is "".
        excluded: pair id -> why it was left out (only with `allow`).
        files: SHA-256 of every image, by role.
    """

    scores: list[Score]
    features: dict[str, NDArray[np.float32]]
    excluded: dict[str, str]
    files: dict[str, str]

    def write(self, path: Path) -> None:
        """Write it atomically."""
        metadata = {
            "scores": json.dumps([[*s[:5], None if np.isnan(s.value) else repr(s.value)] for s in self.scores]),
            "excluded": json.dumps(self.excluded),
            "files": json.dumps(self.files),
        }
        arrays = self.features or {"none": np.zeros(0, np.float32)}
        atomic_write(path, save(arrays, metadata=metadata))

    @classmethod
    def read(cls, path: Path) -> Chunk:
        """Read it back without its features, of which one at a time is wanted (`read_feature`).

        Raises:
            DataError: damaged; the message says to remove it.
        """
        with _opened(path) as file:
            metadata = {key: json.loads(value) for key, value in file.metadata().items()}
            scores = [Score(a, b, c, d, e, float(v or "nan")) for a, b, c, d, e, v in metadata["scores"]]
            return cls(scores, {}, metadata["excluded"], metadata["files"])


def read_feature(path: Path, name: str) -> NDArray[np.float32] | None:
    """One feature array of a chunk; None where all of its rows were left out.

    Raises:
        DataError: damaged; the message says to remove it.
    """
    with _opened(path) as file:
        return file.get_tensor(name) if name in file.keys() else None  # noqa: SIM118  # not a mapping


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError, ValueError, KeyError) as err:
        raise DataError(
            f"{path.name}: damaged part of an evaluation; remove it and run again with --resume"
        ) from err


def hashes(rows: tuple[Row, ...], methods: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of every image of a chunk, keyed by pair and role."""
    found = {}
    for row in rows:
        found[f"{row.pair_id}/"] = sha256_file(row.reference)
        for method in methods:
            found[f"{row.pair_id}/{method}"] = sha256_file(row.predictions[method])
    return found


def score_chunk(rows: tuple[Row, ...], plan: Plan, networks: Networks, cache: Path | None) -> Chunk:
    """Decode every image of a chunk once and answer all protocols.

    Args:
        rows: the chunk.
        plan: methods, protocols, setting.
        networks: as loaded for the plan.
        cache: folder of features by content of the image; None computes them anew.

    Raises:
        DataError: an image cannot be read and the plan does not allow that.
    """
    scores: list[Score] = []
    excluded: dict[str, str] = {}
    files = hashes(rows, plan.methods)
    collector = FeatureCollector(networks, cache)
    wanted = list(dict.fromkeys(item for protocol in plan.protocols for item in sets_of(protocol)))
    for row, loaded in _decoded_ahead(rows, plan):
        if isinstance(loaded, DataError):
            if not plan.allow:
                raise loaded
            excluded[row.pair_id] = str(loaded)
            continue
        images, clothing, garment = loaded
        forms = dict.fromkeys(Form.of(protocol) for protocol in plan.protocols)
        scorers = {form: PairScorer(row.pair_id, form, images, clothing, networks, garment) for form in forms}
        for protocol in plan.protocols:
            scores += scorers[Form.of(protocol)].scores(protocol, plan.methods, plan.setting)
        for item in wanted:
            for name in (REFERENCE, *plan.methods):
                scorer = scorers[item.form]
                canvas = partial(scorer.canvas, name, item.region, item.dilation, item.fill)
                collector.add(item, name, files[f"{row.pair_id}/{name}"], scorer.clothing, canvas)
    return Chunk(scores, collector.finish(), excluded, files)


Loaded = tuple[dict[str, NDArray[np.uint8]], NDArray[np.bool_], NDArray[np.uint8] | None]


def _decoded_ahead(rows: tuple[Row, ...], plan: Plan) -> Iterator[tuple[Row, Loaded | DataError]]:
    """Rows with their images; the next row is decoded while the caller works on this one."""
    wants_garment = any(protocol.garment_similarity for protocol in plan.protocols)

    def load(row: Row) -> Loaded | DataError:
        try:
            images = {REFERENCE: decode(row.reference)}
            images |= {method: decode(row.predictions[method]) for method in plan.methods}
            clothing = row.clothing_mask()
            if clothing.shape != images[REFERENCE].shape[:2]:
                raise DataError(
                    f"{row.pair_id}: clothing mask of {clothing.shape} on a photo of "
                    f"{images[REFERENCE].shape[:2]} (height, width); expected one grid"
                )
            garment = decode(row.garment) if wants_garment else None
        except DataError as err:
            return err
        return images, clothing, garment

    with ThreadPoolExecutor(max_workers=1) as pool:
        following = pool.submit(load, rows[0])
        for index, row in enumerate(rows):
            current = following.result()
            if index + 1 < len(rows):
                following = pool.submit(load, rows[index + 1])
            yield row, current
