"""One synthetic data set in the layout asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from .._shared.errors import ConfigError
from .._shared.files import require_writable_dir
from . import arrays, pictures, scans

Writer = Callable[[Path, int, int, int, np.random.Generator], None]
FORMATS: Mapping[str, Writer] = {
    "nnunet": scans.write_nnunet,
    "folders": pictures.write_folders,
    "synapse": arrays.write_synapse,
    "btcv": scans.write_btcv,
    "acdc": arrays.write_acdc,
    "acdc-raw": scans.write_acdc_raw,
    "clinicdb": pictures.write_clinicdb,
    "clinicdb-original": pictures.write_clinicdb_original,
    "isic2018": pictures.write_isic,
    "kvasir": pictures.write_kvasir,
    "dicom": scans.write_dicom_series,
    "nuclei": pictures.write_nuclei,
    "totalsegmentator-mr": scans.write_totalsegmentator_mr,
}


def write_synthetic(
    layout: str, root: Path, *, cases: int = 6, side_px: int = 64, slices: int = 6, seed: int = 0
) -> None:
    """Write a data set of `cases` cases into `root`; equal arguments give equal data.

    Args:
        layout: one of `FORMATS`.
        root: folder to write; made if missing.
        cases: number of cases; "nuclei" and "totalsegmentator-mr" are always one scan.
        side_px: in-plane size; pictures are a third wider.
        slices: slices per volume.
        seed: of the noise and shapes.

    Raises:
        ConfigError: unknown layout, or `root` is not empty.
        ResourceError: `root` cannot be written.
    """
    if layout not in FORMATS:
        raise ConfigError(f"format {layout!r} is unknown; choose one of {', '.join(FORMATS)}")
    require_writable_dir(root)
    if any(root.iterdir()):
        raise ConfigError(f"{root.name}: not empty; choose another folder, nothing was written")
    FORMATS[layout](root, cases, side_px, slices, np.random.default_rng(seed))
