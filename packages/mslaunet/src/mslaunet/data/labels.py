"""Named label maps: which number means which organ in whose files.

The trap of "Synapse": three families of files give the same organs different numbers. TransUNet's have 8 classes;
CASCADE's, EMCAD's and U-Bench's have the 13 of the challenge, mapped to 8 when they are read. One family's files read
with another's map silently lose the liver (specs, section 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from .._shared.errors import DataError

LabelMapName = Literal["transunet", "cascade", "btcv", "btcv-to-transunet"]

_BTCV = (
    *("spleen", "right kidney", "left kidney", "gallbladder", "oesophagus", "liver", "stomach", "aorta"),
    *("inferior vena cava", "portal and splenic veins", "pancreas", "right adrenal", "left adrenal"),
)
_TRANSUNET = ("aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach")
_CASCADE = ("spleen", "right kidney", "left kidney", "gallbladder", "pancreas", "liver", "stomach", "aorta")
_LIVER_MARGIN = 1.5  # a stomach full of contrast is large, never half as large again as the liver


@dataclass(frozen=True)
class LabelMap:
    """`classes`: label id after mapping to name; `ids`: label id in the files to label id, 0 for what is dropped."""

    classes: Mapping[int, str]
    ids: Mapping[int, int]


def _named(names: tuple[str, ...]) -> dict[int, str]:
    return dict(enumerate(("background", *names)))


def _between(source: tuple[str, ...], target: tuple[str, ...]) -> LabelMap:
    ids = {i: target.index(name) + 1 if name in target else 0 for i, name in enumerate(source, start=1)}
    return LabelMap(_named(target), {0: 0, **ids})


LABEL_MAPS: Mapping[str, LabelMap] = MappingProxyType(
    {
        "transunet": _between(_TRANSUNET, _TRANSUNET),
        "cascade": _between(_BTCV, _CASCADE),
        "btcv": _between(_BTCV, _BTCV),
        "btcv-to-transunet": _between(_BTCV, _TRANSUNET),
    }
)


def apply_map(labels: np.ndarray, ids: Mapping[int, int]) -> np.ndarray:
    """Label ids of a file -> label ids of the classes; what the map does not name becomes 0.

    Example:
        >>> apply_map(np.array([0, 5, 11, 6]), LABEL_MAPS["cascade"].ids).tolist()
        [0, 0, 5, 6]
    """
    table = np.zeros(max(int(labels.max(initial=0)), *ids) + 1, np.int32)
    for source, target in ids.items():
        table[source] = target
    return table[labels]


def require_liver_largest(volumes: Mapping[int, float], classes: Mapping[int, str], where: str) -> None:
    """Check that the liver is the largest of the organs, which holds in every adult and for the right map only.

    Args:
        volumes: label id to voxels (or ml), summed over cases that show the whole abdomen.
        classes: label id to name; without a liver or with fewer than three organs present there is nothing to check.
        where: what was counted, for the message.

    Raises:
        DataError: another organ is at least half as large again.
    """
    liver = next((i for i, name in classes.items() if name.lower() == "liver"), None)
    present = {i: size for i, size in volumes.items() if i > 0 and size > 0}
    if liver is None or len(present) < 3:
        return
    largest = max(present, key=lambda i: present[i])
    if present[largest] >= _LIVER_MARGIN * present.get(liver, 0):
        raise DataError(
            f"{where}: {classes.get(largest, largest)} (label {largest}) is larger than the liver (label {liver}) by "
            f"{present[largest]:.4g} to {present.get(liver, 0):.4g}; the label map is not that of these files, choose "
            f"another with data.label_map or --label-map: {', '.join(LABEL_MAPS)}"
        )
