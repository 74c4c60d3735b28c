"""What lies beside predicted masks: the record of each case, and its maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ._shared.errors import DataError
from ._shared.io.images import read_image
from ._shared.io.volumes import read_volume

RECORD = "predictions.json"
UNCERTAINTY, PROBABILITIES = "uncertainty", "probabilities"


def read_record(folder: Path) -> dict[str, Any]:
    """What `predictions.json` of a folder of masks says of each case; nothing where there is none.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["cases"])
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(f"{RECORD}: damaged; remove it, it is written anew") from err


def map_path(folder: Path, case_id: str, name: str, suffix: str) -> Path:
    """Where the uncertainty map `name` of a case lies."""
    return folder / UNCERTAINTY / f"{case_id}_{name}{suffix}"


def read_map(path: Path) -> np.ndarray:
    """Values in [0, 1] of a map: (X, Y, Z) canonical, or (H, W).

    Raises:
        DataError: the file cannot be read.
    """
    if path.suffix.lower() == ".png":
        data = read_image(path)
        return data.array.astype(np.float32) / data.max_value
    return read_volume(path).array
