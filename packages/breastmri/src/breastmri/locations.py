"""Locations of many breasts as files: `locations.json` and one NIfTI map per breast and localiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._shared.files import atomic_write
from ._shared.io.volumes import new_volume, write_volume
from ._shared.logs import progress
from ._shared.strict_json import to_json
from .cases import digest
from .classifier import Classifier
from .geometry import distance_mm
from .localize import BASELINE, Location, locate
from .prepare import Breasts
from .preprocess import BreastInput


def write_locations(
    classifier: Classifier,
    breasts: Breasts,
    out: Path,
    names: Sequence[str],
    *,
    flips: int = 2,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Locate in every breast, the enhancement baseline included.

    Maps are written on the cells of the network (`<key>_<localiser>.nii.gz`), with the affine that puts each cell where
    it lies in the scan; `predict` writes them on the scan's own grid.

    Args:
        classifier: the model.
        breasts: to locate in.
        out: folder.
        names: localisers.
        flips: 1, 2 or 8.
        quiet: no progress.

    Returns:
        A row per breast, as in `locations.json`.
    """
    rows = []
    with progress(len(breasts), "locating", quiet=quiet) as bar:
        for breast in breasts:
            rows.append(_row(classifier, breast, out, list(dict.fromkeys([*names, BASELINE])), flips))
            bar.update()
    atomic_write(out / "locations.json", to_json({"breasts": rows}, indent=1) + "\n")
    return rows


def _row(
    classifier: Classifier, breast: BreastInput, out: Path, names: Sequence[str], flips: int
) -> dict[str, Any]:
    key = digest(f"{breast.study_id}/{breast.side}")
    row: dict[str, Any] = {
        "key": key,
        "side": breast.side,
        "prob": float(classifier.probs(classifier.scores([breast]))[0]),
        "calibrated": classifier.calibrator is not None,
        "localisers": {},
    }
    for name in names:
        location = locate(classifier, [breast], name, flips=flips)[0]
        row["localisers"][name] = _found(location, breast)
        path = out / f"{key}_{name}.nii.gz"
        volume = new_volume(location.cells.astype(np.float32), location.affine)
        note = "phantom model, not for patients" if classifier.phantom else ""
        write_volume(path, volume.array, volume, dtype=np.float32, description=note)
    return row


def _found(location: Location, breast: BreastInput) -> dict[str, Any]:
    found: dict[str, Any] = {
        "center_ras_mm": location.center_mm,
        "spread_mm": location.spread_mm,
        "candidates": [{"ras_mm": p.center_mm, "score": p.score} for p in location.candidates()],
    }
    if breast.center_mm is not None:
        found["error_mm"] = distance_mm(location.center_mm, breast.center_mm)
    return found


def locations_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line per breast: probability and the centre of every localiser in mm (RAS)."""
    lines = []
    for row in rows:
        places = "; ".join(
            f"{name} {' '.join(f'{v:.1f}' for v in found['center_ras_mm'])}"
            + (f" (error {found['error_mm']:.1f} mm)" if "error_mm" in found else "")
            for name, found in row["localisers"].items()
        )
        lines.append(f"{row['key']} {row['side']}: probability {row['prob']:.3f}; {places}")
    return "\n".join(lines)
