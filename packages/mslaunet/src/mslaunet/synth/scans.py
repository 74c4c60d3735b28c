"""Synthetic scans as NIfTI files and DICOM series."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .._shared.files import atomic_write
from .._shared.io.dicom import find_series, read_series
from .._shared.io.dicom_write import synthetic_uid, write_dicom
from .._shared.io.volumes import new_volume, write_volume
from ..data.labels import LABEL_MAPS
from .discs import NUM_CLASSES, disc_volume, tilted_affine, to_hu

_ACDC_IDS = {1: 1, 2: 2, 3: 3}
_ABDOMINAL_IDS = {i: i for i in range(1, 8)}


def write_nnunet(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """nnU-Net raw: CTs with eight classes."""
    for index in range(cases):
        image, labels = disc_volume(side_px, slices, rng)
        name = f"disc_{index:02d}"
        _write(root / "imagesTr" / f"{name}_0000.nii.gz", to_hu(image))
        _write(root / "labelsTr" / f"{name}.nii.gz", labels)
    names = {"background": 0, **{f"disc_{c}": c for c in range(1, NUM_CLASSES)}}
    header = {"channel_names": {"0": "CT"}, "labels": names, "numTraining": cases, "file_ending": ".nii.gz"}
    atomic_write(root / "dataset.json", json.dumps(header, indent=2))


def write_btcv(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """Raw BTCV: the eight Synapse organs under the challenge's numbers."""
    ids = {ours: theirs for theirs, ours in LABEL_MAPS["btcv-to-transunet"].ids.items() if ours}
    for index in range(1, cases + 1):
        image, labels = disc_volume(side_px, slices, rng, ids)
        # turned around, so that the left kidney is on the left
        _write(root / "Training" / "img" / f"img{index:04d}.nii.gz", to_hu(image)[::-1])
        _write(root / "Training" / "label" / f"label{index:04d}.nii.gz", labels[::-1])


def write_acdc_raw(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """The raw ACDC challenge: two frames of each patient; the last third of the patients is for testing."""
    for index in range(1, cases + 1):
        part = "testing" if cases > 1 and index > cases - cases // 3 else "training"
        folder = root / part / f"patient{index:03d}"
        for frame in (1, 12):
            image, labels = disc_volume(side_px, slices, rng, _ACDC_IDS)
            _write(folder / f"{folder.name}_frame{frame:02d}.nii.gz", np.rint(image * 800).astype(np.int16))
            _write(folder / f"{folder.name}_frame{frame:02d}_gt.nii.gz", labels)
        atomic_write(folder / "Info.cfg", "ED: 1\nES: 12\nGroup: NOR\nNbFrame: 30\n")


def write_totalsegmentator_mr(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """The one abdominal MR of the offline assets."""
    image, labels = disc_volume(side_px, slices, rng, _ABDOMINAL_IDS)
    _write(root / "example_mr_sm.nii.gz", np.rint(image * 800).astype(np.int16))
    _write(root / "example_seg_mr.nii.gz", labels)


def write_dicom_series(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """CT series with their masks as NIfTI on the same grid; the thickness is not the distance of the slices."""
    affine = tilted_affine()
    lps = affine[:3] * np.array([[-1], [-1], [1]])
    for index in range(cases):
        image, labels = disc_volume(side_px, slices, rng)
        hu = to_hu(image)
        name = f"disc_{index:02d}"
        for k in range(slices):
            write_dicom(
                root / "images" / name / f"{slices - k:04d}.dcm",  # names count against the places
                np.ascontiguousarray(hu[:, :, k].T + 1024),
                modality="CT",
                series_uid=synthetic_uid(name, "series"),
                study_uid=synthetic_uid(name, "study"),
                instance_number=k + 1,
                position_mm=lps[:, 3] + k * lps[:, 2],
                orientation=[*(lps[:, 0] / 0.8), *(lps[:, 1] / 0.7)],
                spacing_mm=(0.7, 0.8),
                intercept=-1024,
                elements={"SliceThickness": 8.0},
            )
        scan = read_series(find_series(root / "images" / name)[0])
        mask = new_volume(
            labels if _same_way(scan.source.affine, affine) else labels[:, :, ::-1], scan.source.affine
        )
        write_volume(root / "masks" / f"{name}.nii.gz", mask.array, like=scan, dtype=np.uint8)


def _same_way(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether the slices of a series are counted in the direction of the affine that they were written with."""
    return bool(first[:3, 2] @ second[:3, 2] > 0)


def _write(path: Path, array: np.ndarray) -> None:
    source = new_volume(array, tilted_affine())
    write_volume(path, source.array, like=source, dtype=array.dtype)
