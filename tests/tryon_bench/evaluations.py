"""Small evaluations for the tests of engine, statistics and report."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from tryon_bench.engine.plan import Plan, Row
from tryon_bench.protocol.schema import Protocol

CHEAP = Protocol(name="cheap", lpips=(), colour=True)


def mask(height: int, width: int) -> np.ndarray:
    found = np.zeros((height, width), bool)
    found[height // 4 : 3 * height // 4, width // 5 : 4 * width // 5] = True
    return found


def rows(
    folder: Path, count: int, size: tuple[int, int] = (48, 36), methods: tuple[str, ...] = ("a", "b")
) -> tuple[Row, ...]:
    """Photos of smooth noise and methods that add more and more of it."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for index in range(count):
        rng = np.random.default_rng(index)
        photo = gaussian_filter(rng.normal(128, 400, (*size, 3)), (4, 4, 0)).clip(0, 255)
        predictions = {}
        for strength, method in enumerate(methods, 1):
            predictions[method] = _save(
                folder / f"{method}-{index}.png", photo + rng.normal(0, 8 * strength, photo.shape)
            )
        reference = _save(folder / f"photo-{index}.png", photo)
        found.append(Row(f"p{index:03d}", reference, reference, predictions, partial(mask, *size)))
    return tuple(found)


def _save(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(array.clip(0, 255).astype(np.uint8)).save(path)
    return path


def plan(folder: Path, count: int = 9, protocols: tuple[Protocol, ...] = (CHEAP,), **options) -> Plan:
    """A plan in chunks of four rows."""
    return Plan("paired", rows(folder, count), ("a", "b"), protocols, chunk_size=4, **options)
