"""One function for all layouts."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import ConfigError
from .._shared.files import require_writable_dir
from .breastdm import write_breastdm
from .dicom_layouts import write_duke, write_fastmri
from .nifti_layouts import write_breastdcedl, write_mama_mia, write_odelia, write_odelia_hub, write_plain

FORMATS = {
    "nifti": write_plain,
    "mama-mia": write_mama_mia,
    "odelia": write_odelia,
    "odelia-hub": write_odelia_hub,
    "breastdcedl": write_breastdcedl,
    "duke-dicom": write_duke,
    "fastmri-dicom": write_fastmri,
    "breastdm": write_breastdm,
}


def write_synthetic(layout: str, root: Path, *, cases: int = 10, seed: int = 0) -> None:
    """Write a data set of phantoms, with `truth.json`.

    Args:
        layout: a key of `FORMATS`.
        root: folder to write; made if missing.
        cases: number of studies.
        seed: of the phantoms.

    Raises:
        ConfigError: unknown layout, or `root` is not empty.
        ResourceError: `root` cannot be written.
    """
    if layout not in FORMATS:
        raise ConfigError(f"format {layout!r} is unknown; choose one of {', '.join(FORMATS)}")
    require_writable_dir(root)
    if any(root.iterdir()):
        raise ConfigError(f"{root.name}: not empty; choose another folder, nothing was written")
    FORMATS[layout](root, cases, seed)
