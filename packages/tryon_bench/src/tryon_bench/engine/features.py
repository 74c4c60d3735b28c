"""Features of whole sets of images, computed in batches and kept by the content of the image."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._shared.files import atomic_write
from ..protocol.schema import Protocol, Region
from .images import Form
from .networks import Networks, feature_sets

if TYPE_CHECKING:
    from ..networks.extractors import ExtractorName

REFERENCE = ""  # the name under which the photo stands among the methods
LOGITS = "logits"
_BATCH = 8


class FeatureSet(NamedTuple):
    """Which features of which images: protocols that agree in all of this share them.

    Attributes:
        extractor: its name.
        region: outside of it the image is filled.
        form: what happens to the pixels first.
        fill: gray value of the fill.
        dilation: of the clothing mask, px.
        with_logits: class logits are kept beside the features, for the inception score.
    """

    extractor: ExtractorName
    region: Region
    form: Form
    fill: int
    dilation: int
    with_logits: bool

    @property
    def key(self) -> str:
        """A short name for files."""
        text = json.dumps([list(self.form), self.fill, self.dilation])
        return f"{self.extractor}.{self.region}.{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def sets_of(protocol: Protocol) -> list[FeatureSet]:
    """Feature sets of a protocol's distribution metrics; those of "all" do not depend on fill and dilation."""
    return [
        FeatureSet(
            extractor,
            region,
            Form.of(protocol),
            0 if region == "all" else protocol.fill,
            0 if region == "all" else protocol.mask_dilation_px,
            protocol.inception_score_splits is not None and extractor.startswith("inception"),
        )
        for extractor in feature_sets(protocol)
        for region in protocol.distribution_regions
    ]


class FeatureCollector:
    """Gathers the images of one chunk into batches of a network; equal images are computed once ever."""

    def __init__(self, networks: Networks, cache: Path | None) -> None:
        """Start empty.

        Args:
            networks: as loaded for the plan.
            cache: folder of features by content; None keeps none.
        """
        self._networks, self._cache = networks, cache
        self._rows: dict[tuple[FeatureSet, str], list[NDArray[np.float32] | None]] = {}
        self._waiting: dict[tuple[str, bool], list[_Waiting]] = {}

    def add(
        self,
        item: FeatureSet,
        name: str,
        sha256: str,
        clothing: NDArray[np.bool_],
        canvas: Callable[[], NDArray[np.uint8]],
    ) -> None:
        """Ask for the features of one image.

        Args:
            item: which features.
            name: method, or "" for the photo.
            sha256: of the image file.
            clothing: mask at evaluation size, which decides the canvas of a region.
            canvas: makes the image that the network sees.
        """
        rows = self._rows.setdefault((item, name), [])
        path = self._path(item, sha256, clothing)
        known = _load(path)
        rows.append(known)
        if known is None:
            waiting = self._waiting.setdefault((item.extractor, item.with_logits), [])
            waiting.append(_Waiting(rows, len(rows) - 1, canvas(), path))
            if len(waiting) == _BATCH:
                self._flush(item.extractor, item.with_logits)

    def finish(self) -> dict[str, NDArray[np.float32]]:
        """Compute what is waiting; "<feature set>/<method>" -> (rows, d), logits under "<feature set>.logits/..."."""
        for extractor, with_logits in list(self._waiting):
            self._flush(extractor, with_logits)
        found: dict[str, NDArray[np.float32]] = {}
        for (item, name), rows in self._rows.items():
            stacked = np.stack([row for row in rows if row is not None])
            width = self._width(item)
            found[f"{item.key}/{name}"] = stacked[:, :width]
            if item.with_logits:
                found[f"{item.key}.{LOGITS}/{name}"] = stacked[:, width:]
        return found

    def _width(self, item: FeatureSet) -> int | None:
        return 2048 if item.with_logits else None  # Inception is the only network with logits

    def _flush(self, extractor: str, with_logits: bool) -> None:
        waiting = self._waiting.pop((extractor, with_logits), [])
        if not waiting:
            return
        network = self._networks.extractors[extractor]  # type: ignore[index]
        images = [entry.image for entry in waiting]
        computed = np.concatenate(network.features_and_logits(images), axis=1) if with_logits else network(images)
        for entry, row in zip(waiting, computed, strict=True):
            entry.rows[entry.place] = row
            if entry.path is not None:
                buffer = io.BytesIO()
                np.save(buffer, row, allow_pickle=False)
                entry.path.parent.mkdir(parents=True, exist_ok=True)
                atomic_write(entry.path, buffer.getvalue())

    def _path(self, item: FeatureSet, sha256: str, clothing: NDArray[np.bool_]) -> Path | None:
        """Where the row is kept: content of image and mask, everything that is done to it, and the weights decide."""
        if self._cache is None:
            return None
        mask = b"" if item.region == "all" else np.packbits(clothing).tobytes()
        weights = self._networks.extractors[item.extractor].weights
        text = json.dumps([sha256, item.key, str(clothing.shape), weights, item.with_logits])
        name = hashlib.sha256(text.encode() + mask).hexdigest()
        return self._cache / name[:2] / f"{name[2:]}.npy"


class _Waiting(NamedTuple):
    rows: list[NDArray[np.float32] | None]
    place: int
    image: NDArray[np.uint8]
    path: Path | None


def _load(path: Path | None) -> NDArray[np.float32] | None:
    """A kept row; one that cannot be read counts as absent and is computed again."""
    if path is None or not path.is_file():
        return None
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
