"""Tiny valid data sets of each layout, with a known answer, to try every command without real data.

Volumes: each case holds eight discs; class c sits at (0.20 + 0.07 c, 0.80 - 0.07 c) of the frame with radius 5 % of
its height, and its intensity tells its class: c / 9 of the window, plus a little noise. The NIfTI files have unequal
spacing, a flipped axis and a 10 degree tilt, so that a loader that ignores the affine is found out.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ._shared.errors import ConfigError
from ._shared.files import atomic_write, require_writable_dir
from ._shared.io.images import write_png
from ._shared.io.volumes import new_volume, write_volume

NUM_CLASSES = 9
FORMATS = ("nnunet", "folders")


def write_synthetic(
    layout: str, root: Path, *, cases: int = 6, side_px: int = 64, slices: int = 6, seed: int = 0
) -> None:
    """Write a data set of `cases` cases into `root`.

    Args:
        layout: "nnunet" (NIfTI volumes, one CT channel, 8 classes) or "folders" (RGB images, binary masks).
        root: folder to write; made if missing.
        cases: number of training cases.
        side_px: in-plane size.
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
    rng = np.random.default_rng(seed)
    if layout == "nnunet":
        _write_nnunet(root, cases, side_px, slices, rng)
    else:
        _write_folders(root, cases, side_px, rng)


def tilted_affine() -> np.ndarray:
    """Affine (4, 4) with spacing 0.8 x 0.7 x 5 mm, the first axis flipped, tilted by 10 degrees about x."""
    angle = np.deg2rad(10)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = tilt @ np.diag([-0.8, 0.7, 5.0])
    affine[:3, 3] = (25.0, -20.0, 100.0)
    return affine


def disc_labels(side_px: int) -> np.ndarray:
    """Label ids (side, side) of the eight discs."""
    row, column = np.mgrid[:side_px, :side_px] / side_px
    labels = np.zeros((side_px, side_px), np.uint8)
    for c in range(1, NUM_CLASSES):
        labels[(row - 0.20 - 0.07 * c) ** 2 + (column - 0.80 + 0.07 * c) ** 2 <= 0.05**2] = c
    return labels


def _write_nnunet(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    labels = np.repeat(disc_labels(side_px)[:, :, None], slices, axis=2)
    for index in range(cases):
        noisy = labels / NUM_CLASSES + rng.normal(0, 0.02, labels.shape)
        image = np.rint(noisy.clip(0, 1) * 400 - 125).astype(np.int16)
        source = new_volume(image, tilted_affine())
        name = f"disc_{index:02d}"
        write_volume(root / "imagesTr" / f"{name}_0000.nii.gz", source.array, like=source, dtype=np.int16)
        mask = new_volume(labels, tilted_affine())
        write_volume(root / "labelsTr" / f"{name}.nii.gz", mask.array, like=mask, dtype=np.uint8)
    names = {"background": 0, **{f"disc_{c}": c for c in range(1, NUM_CLASSES)}}
    header = {"channel_names": {"0": "CT"}, "labels": names, "numTraining": cases, "file_ending": ".nii.gz"}
    atomic_write(root / "dataset.json", json.dumps(header, indent=2))


def _write_folders(root: Path, cases: int, side_px: int, rng: np.random.Generator) -> None:
    row, column = np.mgrid[:side_px, : side_px * 4 // 3] / side_px
    for index in range(cases):
        centre, radii = rng.uniform(0.35, 0.65, 2), rng.uniform(0.12, 0.3, 2)
        distance = ((row - centre[0]) / radii[0]) ** 2 + ((column - centre[1]) / radii[1]) ** 2
        inside = distance <= 1
        image = rng.normal(90, 12, (*inside.shape, 3)) + inside[..., None] * np.array([90, 30, 20])
        mask = np.where(inside, 255, 0).astype(np.uint8)
        if index == 0:
            mask = np.repeat(mask[..., None], 3, axis=2)  # a mask saved as RGB
        if index == 1:
            mask = np.clip(255 * (1.1 - distance) / 0.2, 0, 255).astype(np.uint8)  # an anti-aliased edge
        write_png(root / "images" / f"ellipse_{index:02d}.png", image.clip(0, 255).astype(np.uint8))
        write_png(root / "masks" / f"ellipse_{index:02d}.png", mask)
