"""The corruption study: selectivity of regions, and what a wrong garment does to a distribution distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.files import atomic_write, require_writable_dir
from .._shared.logs import progress
from .._shared.strict_json import to_json
from ..engine.networks import Networks
from ..metrics.frechet import frechet_distance
from ..metrics.regions import cut_out
from ..networks.extractors import load_extractor
from ..networks.perceptual import LPIPS
from ..synth.cast import Actor
from ..synth.write import draw_cast
from .figure import selectivity_svg
from .selectivity import Selectivity, selectivity

SELECTIVITY_PAIRS = 16
TARGET = 5.0  # times that the damaged region has to move more


@dataclass(frozen=True)
class GarmentStudy:
    """A wrong garment seen by a distribution distance and by garment similarity.

    Both sets hold true results of the synthetic data. In the second one every person wears the garment that another
    row asks for, so all pixels are as real as in the first.

    Attributes:
        n: pairs.
        right: Fréchet distance (EfficientNet-lite0) of results in the right garments from the photos.
        wrong: the same for wrong garments.
        similarity_right: mean cosine of the shop photo asked for and the worn garment.
        similarity_wrong: the same for wrong garments.
    """

    n: int
    right: float
    wrong: float
    similarity_right: float
    similarity_wrong: float

    @property
    def change(self) -> float:
        """Relative change of the distance."""
        return abs(self.wrong - self.right) / self.right


@dataclass(frozen=True)
class Study:
    """Both parts, and whether the metrics do what the documentation says of them."""

    cells: tuple[Selectivity, ...]
    garment: GarmentStudy

    @property
    def selective(self) -> bool:
        """Whether every metric moves at least five times more in the damaged region."""
        return all(cell.ratio >= TARGET for cell in self.cells)

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        garment = {**asdict(self.garment), "change": self.garment.change}
        return {"selective": self.selective, "cells": [cell.to_json() for cell in self.cells], "garment": garment}


def run_study(run_dir: Path, *, cases: int, size: tuple[int, int], seed: int = 0, quiet: bool = False) -> Study:
    """Run it on synthetic persons and write `meta.json` and `meta.svg`.

    Args:
        run_dir: where everything goes.
        cases: persons, at least three.
        size: height and width of their photos, px.
        seed: of persons, garments and noise.
        quiet: no progress on stderr.

    Raises:
        DataError: an asset is missing.
    """
    require_writable_dir(run_dir)
    cast = draw_cast("vitonhd", cases, size, seed)
    with progress(2, "meta-evaluation", quiet=quiet) as bar:
        scenes = [actor.photo() for actor in cast[:SELECTIVITY_PAIRS]]
        pictures = [(scene.photo, scene.garment_mask) for scene in scenes]
        cells = selectivity(pictures, Networks({"alex": LPIPS("alex")}, None, {}), seed=seed)
        bar.update(1)
        study = Study(tuple(cells), _garments(cast))
        bar.update(1)
    atomic_write(run_dir / "meta.json", to_json(study.to_json(), indent=1))
    atomic_write(run_dir / "meta.svg", selectivity_svg(study.cells))
    return study


def _garments(cast: Sequence[Actor]) -> GarmentStudy:
    """Every person is asked to wear the next one's garment, and wears it, or that of the one after."""
    extractor = load_extractor("effnet_lite0")
    photos = extractor([actor.photo().photo for actor in cast])
    shop = extractor([actor.garment.image for actor in _turned(cast, 1)]).astype(np.float64)
    distances, similarities = [], []
    for step in (1, 2):
        scenes = [actor.photo(other.garment) for actor, other in zip(cast, _turned(cast, step), strict=True)]
        distances.append(frechet_distance(extractor([scene.photo for scene in scenes]), photos))
        worn = extractor([cut_out(scene.photo, scene.garment_mask) for scene in scenes]).astype(np.float64)
        cosines = (worn * shop).sum(1) / np.linalg.norm(worn, axis=1) / np.linalg.norm(shop, axis=1)
        similarities.append(float(cosines.mean()))
    return GarmentStudy(len(cast), *distances, *similarities)


def _turned(cast: Sequence[Actor], step: int) -> list[Actor]:
    return [*cast[step:], *cast[:step]]
