"""SIIM-ACR Pneumothorax Segmentation, stages 1 and 2."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .pairs import ABSENT, PRESENT, Pair, PairDataset, RunLengths
from .pixels import read_pixels
from .sources import find_file, read_rows


def load_siim(root: Path) -> PairDataset:
    """One sample per film: label "Pneumothorax", and the union of all its run-length rows as mask.

    Header and values are read with or without the blank that some copies have; "-1" is a film without pneumothorax.
    The release names no patients: a film is its own patient, and several rows of it can never be on two sides.

    Raises:
        DataError: the table, a column or a film is missing.
    """
    path = find_file(root, "train-rle.csv", "stage_2_train.csv")
    rows = read_rows(path, ["ImageId", "EncodedPixels"])
    folder = next((root / n for n in ("dicom-images-train", "images") if (root / n).is_dir()), root)
    films = {file.stem: file for file in sorted(folder.rglob("*")) if file.suffix.lower() in (".dcm", ".png")}
    runs: dict[str, list[str]] = {}
    for row in rows:
        value = row["EncodedPixels"].strip()
        runs.setdefault(row["ImageId"].strip(), []).extend([] if value in ("-1", "") else [value])
    missing = [name for name in runs if name not in films]
    if missing:
        raise DataError(
            f"{path.name}: {len(missing)} of {len(runs)} films are not in {folder.name}/; unpack them there"
        )
    height, width = read_pixels(films[next(iter(runs))]).shape if runs else (1024, 1024)
    pairs = [
        Pair(
            image=films[name],
            sample_id=name,
            study_id=name,
            patient_id=name,
            labels={"Pneumothorax": PRESENT if found else ABSENT},
            mask=RunLengths(tuple(found), height, width) if found else None,
        )
        for name, found in runs.items()
    ]
    return PairDataset("siim", tuple(pairs), ("Pneumothorax",))
