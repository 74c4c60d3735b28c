"""Where the cancer is: one localiser on breasts, its centres and candidates in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch

from ._shared.errors import ConfigError
from .classifier import Classifier
from .geometry import CellGrid, Peak, Triple, distance_mm, find_peaks, half_max_centroid, to_mm
from .layers import CosineHead
from .preprocess import BreastInput, Preprocessing
from .saliency import LOCALISERS, Localiser, enhancement, flipped_heats, localiser

CenterRule = Literal["half-max", "argmax"]
BASELINE = "enhancement"
SIGMA_MM = 4.0  # of the baseline's smoothing; ours


class Location(NamedTuple):
    """What one localiser says about one breast.

    Attributes:
        center_mm: centre, RAS+ mm.
        spread_mm: mean distance of the single flips' centres from it, a sign of instability; NaN for one flip.
        peak: the map's maximum.
        cells: (D', H', W') float32 map, the mean over flips.
        affine: (4, 4) cell index -> mm.
        grid: where the cells lie in the network's input.
    """

    center_mm: Triple
    spread_mm: float
    peak: float
    cells: np.ndarray
    affine: np.ndarray
    grid: CellGrid

    def candidates(self, *, radius_mm: float = 10.0, max_count: int = 5) -> list[Peak]:
        """Peaks of the map with 3-D non-maximum suppression, hottest first."""
        return find_peaks(self.cells, self.affine, radius_mm=radius_mm, max_count=max_count)


def available_localisers(classifier: Classifier) -> list[str]:
    """Localisers that this model can have; `contribution` needs a cosine head and a pooling that is a weighted mean."""
    exact = isinstance(classifier.net.head, CosineHead) and classifier.net.config["pooling"] not in ("gem", "lse")
    return [name for name in (*LOCALISERS, BASELINE) if name != "contribution" or exact]


def get_localiser(name: str, plan: Preprocessing) -> Localiser:
    """Localiser of a name, the enhancement baseline included.

    Raises:
        ConfigError: another name.
    """
    if name == BASELINE:
        a, b, c = (SIGMA_MM / spacing for spacing in plan.spacing_mm)
        return enhancement(plan.enhancement_channel, (a, b, c))
    return localiser(name)


def locate(
    classifier: Classifier,
    breasts: Sequence[BreastInput],
    name: str = "coam",
    *,
    flips: int = 2,
    rule: CenterRule | None = None,
    batch_size: int = 4,
) -> list[Location]:
    """Locations in breasts, in their order.

    Args:
        classifier: the trained model; the baseline ignores it.
        breasts: inputs of its preprocessing.
        name: of a localiser in `saliency`, or "enhancement".
        flips: 1, 2 or 8 passes over flipped inputs whose maps are averaged.
        rule: half-max centroid (default) or the maximum (default of the baseline).
        batch_size: breasts at once; results do not depend on it.

    Raises:
        ConfigError: unknown localiser or rule, or one that this model cannot have.
    """
    rule = rule or ("argmax" if name == BASELINE else "half-max")
    if rule not in ("half-max", "argmax"):
        raise ConfigError(f"expected a rule half-max or argmax, got {rule!r}")
    function = get_localiser(name, classifier.plan)
    found: list[Location] = []
    for x in classifier.batches(breasts, batch_size):
        heats = flipped_heats(function, classifier.net, x, flips)
        maps = torch.stack([heat.maps for heat in heats], 1).float().cpu().numpy()  # (B, flips, D', H', W')
        cells = tuple(maps.shape[2:])
        grid = heats[0].grid if flips == 1 else CellGrid.centred(heats[0].grid.stride, tuple(x.shape[2:]), cells)
        for single in maps:
            found.append(_location(single, breasts[len(found)], grid, rule))
    return found


def center_errors(locations: Sequence[Location], breasts: Sequence[BreastInput]) -> np.ndarray:
    """Distances (n,) in mm from the annotated centre; NaN where a breast has none."""
    return np.array(
        [
            np.nan if breast.center_mm is None else distance_mm(location.center_mm, breast.center_mm)
            for location, breast in zip(locations, breasts, strict=True)
        ]
    )


def inside_lesion(location: Location, breast: BreastInput) -> bool | None:
    """Whether the centre's voxel is in the annotated lesion (pointing game); None without a mask."""
    if breast.lesion is None:
        return None
    index = np.linalg.solve(breast.affine[:3, :3], np.array(location.center_mm) - breast.affine[:3, 3])
    voxel = np.rint(index).astype(int)
    if (voxel < 0).any() or (voxel >= breast.lesion.shape).any():
        return False
    return bool(breast.lesion[tuple(voxel)] >= 0.5)


def _location(maps: np.ndarray, breast: BreastInput, grid: CellGrid, rule: CenterRule) -> Location:
    affine = breast.affine @ grid.affine()
    mean = maps.mean(0)
    center = to_mm(affine, _center(mean, rule))
    spread = float("nan")
    if len(maps) > 1:
        spread = float(np.mean([distance_mm(to_mm(affine, _center(m, rule)), center) for m in maps]))
    return Location(center, spread, float(mean.max()), mean, affine, grid)


def _center(cells: np.ndarray, rule: CenterRule) -> np.ndarray:
    if rule == "half-max":
        return half_max_centroid(cells)
    return np.array(np.unravel_index(int(cells.argmax()), cells.shape), np.float64)
