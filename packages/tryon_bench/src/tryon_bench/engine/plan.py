"""What is to be evaluated: rows, methods, protocols, and how they are cut into chunks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from ..protocol.schema import Protocol, Setting


@dataclass(frozen=True)
class Row:
    """One person in one garment, and what every method made of it.

    Attributes:
        pair_id: unique name of the row.
        reference: the photo; its target in the paired setting, the person as she was in the unpaired one.
        garment: shop photo of the garment.
        predictions: method -> image.
        clothing_mask: gives (H, W) bool on the grid of the reference; raises DataError where there is none.
        category: garment category, "" where the data set has none.
    """

    pair_id: str
    reference: Path
    garment: Path
    predictions: Mapping[str, Path]
    clothing_mask: Callable[[], NDArray[np.bool_]]
    category: str = ""


@dataclass(frozen=True)
class Plan:
    """One evaluation.

    Attributes:
        setting: paired or unpaired.
        rows: in the order of the pair list.
        methods: names, in the order of the tables.
        protocols: all of them are answered in the same decode pass.
        weights_dir: the user's weight files.
        random_seed: seeded random weights for every network, which stamps all results NOT COMPARABLE.
        chunk_size: rows per unit of resuming and sharding.
        device: where the networks run.
        allow: leave out rows with an unreadable image, and count them, instead of stopping.
    """

    setting: Setting
    rows: tuple[Row, ...]
    methods: tuple[str, ...]
    protocols: tuple[Protocol, ...]
    weights_dir: Path | None = None
    random_seed: int | None = None
    chunk_size: int = 32
    device: str = "cpu"
    allow: bool = False
    chunks: tuple[tuple[Row, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.rows or not self.methods or not self.protocols:
            raise DataError("evaluation: expected at least one pair, one method and one protocol")
        ids = [row.pair_id for row in self.rows]
        if len(set(ids)) != len(ids):
            twice = sorted({name for name in ids if ids.count(name) > 1})[:3]
            raise DataError(f"evaluation: pair ids must be unique, these occur twice: {twice}")
        size = self.chunk_size
        pieces = tuple(self.rows[start : start + size] for start in range(0, len(self.rows), size))
        object.__setattr__(self, "chunks", pieces)

    @property
    def fingerprint(self) -> str:
        """Changes when rows, methods, file names, protocols or weights do; not when a file's content does."""
        content = {
            "setting": self.setting,
            "rows": [
                [row.pair_id, row.reference.name, [row.predictions[m].name for m in self.methods]]
                for row in self.rows
            ],
            "methods": self.methods,
            "protocols": [protocol.stamp for protocol in self.protocols],
            "random_seed": self.random_seed,
            "chunk_size": self.chunk_size,
        }
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
