"""Any supported folder -> its manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .._shared.errors import ConfigError, DataError
from .breastdcedl import is_breastdcedl, open_breastdcedl
from .breastdm import is_breastdm, open_breastdm
from .duke import BoxBase, is_duke, open_duke
from .fastmri import is_fastmri, open_fastmri
from .mama_mia import is_mama_mia, open_mama_mia
from .manifest import FILE, Manifest, read_manifest
from .odelia import is_odelia, is_odelia_hub, open_odelia, open_odelia_hub

_LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Manifest]]] = {
    "manifest": (lambda root: (root / FILE).is_file(), read_manifest),
    "duke": (is_duke, open_duke),
    "mama-mia": (is_mama_mia, open_mama_mia),
    "breastdcedl": (is_breastdcedl, open_breastdcedl),
    "fastmri": (is_fastmri, open_fastmri),
    "odelia": (is_odelia, open_odelia),
    "breastdm": (is_breastdm, open_breastdm),
    "odelia-hub": (is_odelia_hub, open_odelia_hub),
}
LAYOUTS = tuple(_LAYOUTS)


def open_data(root: Path, layout: str = "auto", *, box_base: BoxBase = 1) -> Manifest:
    """Open a data folder.

    Args:
        root: the folder.
        layout: one of `LAYOUTS`, or "auto" to recognise it by its tables.
        box_base: see `duke.open_duke`; the other layouts say how they count.

    Raises:
        ConfigError: unknown layout.
        DataError: no such folder, not a known data set, or its tables are damaged.
    """
    if not root.is_dir():
        raise DataError(f"{root.name}: no such folder; expected a data set or a folder with {FILE}")
    if layout == "auto":
        layout = recognised_layout(root)
    if layout not in _LAYOUTS:
        raise ConfigError(f"layout {layout!r} is unknown; choose one of {', '.join(LAYOUTS)}")
    return open_duke(root, box_base=box_base) if layout == "duke" else _LAYOUTS[layout][1](root)


def recognised_layout(root: Path) -> str:
    """The layout of a folder, by its tables.

    Raises:
        DataError: none of them.
    """
    for name, (recognise, _) in _LAYOUTS.items():
        if recognise(root):
            return name
    raise DataError(
        f"{root.name}: not a known data set; expected {FILE} or the tables of {', '.join(LAYOUTS[1:])} "
        "(`breastmri synth FORMAT DIR` writes examples)"
    )
