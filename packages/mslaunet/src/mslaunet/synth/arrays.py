"""Synthetic scans as the `.npz` and `.npy.h5` files of the TransUNet family."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .._shared.files import atomic_path, atomic_write
from .discs import disc_volume

_ACDC_IDS = {1: 1, 2: 2, 3: 3}


def write_synapse(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """`train_npz/`, `test_vol_h5/` and the two lists; the last third of the scans is for testing."""
    lists: dict[str, list[str]] = {"train": [], "test_vol": []}
    for index in range(1, cases + 1):
        name = f"case{index:04d}"
        image, label = (array.transpose(2, 0, 1) for array in disc_volume(side_px, slices, rng))
        if cases > 1 and index > cases - max(1, cases // 3):
            write_h5(root / "test_vol_h5" / f"{name}.npy.h5", image=image, label=label.astype(np.float32))
            lists["test_vol"].append(name)
            continue
        for z in range(slices):
            stem = f"{name}_slice{z:03d}"
            write_npz(root / "train_npz" / f"{stem}.npz", image=image[z], label=label[z].astype(np.float32))
            lists["train"].append(stem)
    for name, names in lists.items():
        if names:
            _write_list(root / "lists" / "lists_Synapse" / f"{name}.txt", names)


def write_acdc(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """`train/`, `valid/` and `test/`: slices of two frames of each patient, volumes for testing, and the lists."""
    lists: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for index in range(1, cases + 1):
        part = _part(index, cases)
        for phase in ("ED", "ES"):
            image, label = (array.transpose(2, 0, 1) for array in disc_volume(side_px, slices, rng, _ACDC_IDS))
            stem = f"case_{index:03d}"
            if part == "test":
                files = {f"{stem}_volume_{phase}.npz": (image, label)}
            else:
                files = {f"{stem}_slice{phase}_{z}.npz": (image[z], label[z]) for z in range(slices)}
            for name, (pixels, ids) in files.items():
                write_npz(root / part / name, img=pixels * 800, label=ids)
                lists[part].append(name)
    for part, names in lists.items():
        if names:
            _write_list(root / "lists_ACDC" / f"{part}.txt", names)


def _part(index: int, cases: int) -> str:
    """The last case is for testing and the one before for validation, where there are enough."""
    return "test" if cases > 1 and index == cases else "valid" if cases > 2 and index == cases - 1 else "train"


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write a numpy archive atomically, compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def write_h5(path: Path, **arrays: np.ndarray) -> None:
    """Write an HDF5 file atomically, one data set per array."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip")


def _write_list(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, "\n".join(names))
