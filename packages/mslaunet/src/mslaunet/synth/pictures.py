"""Synthetic photographs: one ellipse each, with the kinds of masks that people have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .._shared.files import atomic_path, atomic_write
from .._shared.io.images import write_png


def write_folders(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """Plain folders of PNG."""
    for index, (image, mask) in enumerate(_ellipses(cases, side_px, rng)):
        write_png(root / "images" / f"ellipse_{index:02d}.png", image)
        write_png(root / "masks" / f"ellipse_{index:02d}.png", mask)


def write_clinicdb(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """CVC-ClinicDB as the official code has it, with the sequences; the last quarter is for testing, a whole video."""
    held_out = max(1, cases // 4) if cases > 1 else 0
    rows, sequences = ["image_id,category"], ["frame_id,sequence_id"]
    for index, (image, mask) in enumerate(_ellipses(cases, side_px, rng), start=1):
        write_png(root / "images" / f"{index}.png", image)
        write_png(root / "masks" / f"{index}.png", mask)
        tested = index > cases - held_out
        rows.append(f"{index}.png,{'test' if tested else 'train'}")
        sequences.append(f"{index},{3 if tested else 1 + 2 * (index - 1) // max(1, cases - held_out)}")
    atomic_write(root / "test_train_data.csv", "\n".join(rows))
    atomic_write(root / "metadata.csv", "\n".join(sequences))


def write_clinicdb_original(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """CVC-ClinicDB as it is distributed: `Original/` and `Ground Truth/` as TIFF, and the sequences."""
    sequences = ["frame_id,sequence_id"]
    for index, (image, mask) in enumerate(_ellipses(cases, side_px, rng), start=1):
        _save(root / "Original" / f"{index}.tif", image)
        _save(root / "Ground Truth" / f"{index}.tif", mask)
        sequences.append(f"{index},{1 + 3 * (index - 1) // cases}")
    atomic_write(root / "metadata.csv", "\n".join(sequences))


def write_isic(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """ISIC-2018 task 1: images and masks in separate folders, with a suffix; superpixels lie among the images."""
    for index, (image, mask) in enumerate(_ellipses(cases, side_px, rng)):
        part = "Validation" if cases > 2 and index == cases - 1 else "Training"
        images, masks = root / f"ISIC2018_Task1-2_{part}_Input", root / f"ISIC2018_Task1_{part}_GroundTruth"
        _save(images / f"ISIC_{index:07d}.jpg", image)
        write_png(images / f"ISIC_{index:07d}_superpixels.png", image)
        write_png(masks / f"ISIC_{index:07d}_segmentation.png", mask)


def write_kvasir(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """Kvasir-SEG: JPEG images and JPEG masks, whose edges are soft."""
    for index, (image, mask) in enumerate(_ellipses(cases, side_px, rng)):
        _save(root / "images" / f"cju{index:02d}.jpg", image)
        _save(root / "masks" / f"cju{index:02d}.jpg", mask)
    atomic_write(root / "kavsir_bboxes.json", "{}")


def write_nuclei(root: Path, cases: int, side_px: int, slices: int, rng: np.random.Generator) -> None:
    """One picture of 256 px with 40 instances, 16 bit, as stardist carries it."""
    row, column = np.mgrid[:256, :256]
    labels = np.zeros((256, 256), np.uint16)
    for instance in range(1, 41):
        y, x, radius = *rng.uniform(10, 246, 2), rng.uniform(6, 12)
        labels[((row - y) ** 2 + (column - x) ** 2 < radius**2) & (labels == 0)] = instance
    image = np.rint(rng.normal(20, 4, labels.shape) + 120 * (labels > 0)).clip(0, 65535).astype(np.uint16)
    _save(root / "img2d.tif", image)
    _save(root / "mask2d.tif", labels)


def _ellipses(cases: int, side_px: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Image (H, W, 3) and mask; the first mask is RGB, the second has soft edges, the others are 0 and 255."""
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
        yield image.clip(0, 255).astype(np.uint8), mask


def _save(path: Path, array: np.ndarray, **options: Any) -> None:
    kind = {".jpg": "JPEG", ".tif": "TIFF"}[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        Image.fromarray(array).save(temporary, format=kind, **options)
