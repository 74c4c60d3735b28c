"""Rows of a manifest -> a study in memory: the one place where files of any layout become arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from .._shared.errors import DataError
from .._shared.io.dicom import read_series
from .._shared.io.dicom_file import read_header
from .._shared.io.images import read_image, read_mask
from .._shared.io.volumes import Volume, new_volume, read_labels, read_volume, require_same_grid
from .dynamic import Dynamic, find_dynamic
from .manifest import Manifest, Row
from .parquet import read_parquet_phase
from .study import SIDES, Side, Study, mask_center_mm

_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def load_study(manifest: Manifest, study_id: str) -> Study:
    """Read one study of a manifest.

    Raises:
        DataError: a file is missing or damaged, or phases or masks lie on different grids.
    """
    return load_rows(manifest, manifest.studies()[study_id])[0]


def load_rows(manifest: Manifest, rows: Sequence[Row]) -> tuple[Study, Volume]:
    """Read the study of rows that belong together; also its first phase, whose grid outputs are written on.

    Raises:
        DataError: a file is missing or damaged, or phases or masks lie on different grids.
    """
    row = rows[0]
    volumes, found = read_phases(manifest, row)
    study = new_study(volumes, found)
    meta = dict(study.meta) | row.meta
    labels, labels3 = _labels(rows)
    study = replace(
        study,
        study_id=row.study_id,
        patient_id=row.patient_id,
        times_s=row.times_s or study.times_s,
        labels=labels,
        labels3=labels3,
        site=row.site,
        meta=meta,
        warnings=(*study.warnings, *meta.get("warnings", ())),
    )
    breasts = meta.get("breast_mask_path")
    if breasts:
        mask = _labels_on(manifest.path(breasts), volumes[0], meta)
        study = replace(study, breast_mask=mask.astype(np.uint8))
    return _with_lesion(study, manifest, rows, volumes[0]), volumes[0]


def new_study(volumes: Sequence[Volume], found: Dynamic | None = None) -> Study:
    """Volumes of equal grid -> a study that nothing else is known of.

    Raises:
        DataError: the grids differ; the message shows both.
    """
    for other in volumes[1:]:
        require_same_grid(volumes[0], other)
    phases = np.stack([volume.array for volume in volumes]).astype(np.float32, copy=False)
    study = Study("study", "patient", phases, volumes[0].affine)
    if found is None:
        return study
    return replace(study, times_s=found.times_s, meta=found.meta, warnings=found.warnings)


def read_phases(manifest: Manifest, row: Row) -> tuple[list[Volume], Dynamic | None]:
    """The volumes of a row, and the DICOM series they came from, if any."""
    found: dict[Path, Dynamic] = {}
    volumes = []
    for text in row.phases:
        place, _, part = text.partition("#")
        path = manifest.path(place)
        if path.suffix == ".parquet":
            volumes.append(read_parquet_phase(path, part))
        elif path.is_dir():
            if part or not _slice_images(path):
                if path not in found:
                    found[path] = find_dynamic(path)
                volumes.append(_dicom_phase(found[path], part or "0"))
            else:
                volumes.append(_image_stack(path))
        else:
            volumes.append(_with_affine(read_volume(path), row.meta))
    dynamic = next(iter(found.values())) if len(found) == 1 else _joined(list(found.values()))
    if dynamic is not None and len(dynamic.phases) != len(volumes):
        dynamic = replace(dynamic, times_s=None)
    return volumes, dynamic


def _joined(found: list[Dynamic]) -> Dynamic | None:
    """Phases that lie in one folder each."""
    if not found:
        return None
    phases = tuple(one.phases[0] for one in found)
    known = [phase.time_s for phase in phases if phase.time_s is not None]
    times = tuple(t - known[0] for t in known) if len(known) == len(phases) else None
    if times is not None and any(b <= a for a, b in pairwise(times)):
        times = None
    return Dynamic(phases, times, tuple(w for one in found for w in one.warnings))


def read_dynamic(found: Dynamic) -> list[Volume]:
    """The voxels of all phases.

    Raises:
        DataError: a phase is not one regular stack of slices.
    """
    return [read_series(phase.slices) for phase in found.phases]


def _dicom_phase(found: Dynamic, part: str) -> Volume:
    number = int(part) if part.isdigit() else -1
    if not 0 <= number < len(found.phases):
        raise DataError(f"phase {part} of a DICOM folder: it holds {len(found.phases)} phases")
    return read_series(found.phases[number].slices)


def _with_affine(volume: Volume, meta: dict[str, Any]) -> Volume:
    """BreastDCEDL's files carry an identity affine; the spacing of its table makes a better one."""
    if "slice_mm" not in meta:
        return volume
    array = in_file_axes(volume)
    affine = affine_of_stack(array.shape, float(meta["in_plane_mm"]), float(meta["slice_mm"]))
    return replace(new_volume(array, affine), name=volume.name)


def affine_of_stack(shape: tuple[int, ...], in_plane_mm: float, slice_mm: float) -> np.ndarray:
    """RAS+ affine of an axial stack without geometry: slices upwards, rows to the back, columns to the left.

    The slice axis is the one whose two neighbours have equal sizes: the first where all three or none agree.

    Example:
        >>> affine_of_stack((20, 64, 64), 0.7, 2.0)[:3, :3].tolist()
        [[0.0, 0.0, -0.7], [0.0, -0.7, 0.0], [2.0, 0.0, 0.0]]
    """
    a, b, c = shape
    slices, rows, columns = (0, 1, 2) if b == c else (2, 0, 1) if a == b else (1, 0, 2) if a == c else (0, 1, 2)
    affine = np.eye(4)
    affine[:3, :3] = 0
    affine[2, slices], affine[1, rows], affine[0, columns] = slice_mm, -in_plane_mm, -in_plane_mm
    return affine


def in_file_axes(volume: Volume) -> np.ndarray:
    """The voxels (I, J, K) in the order of the file."""
    order = [int(axis) for axis in volume.source.axes[:, 0]]
    array = volume.array.transpose(order)
    flips = tuple(slice(None, None, int(sign)) for sign in volume.source.axes[:, 1])
    return np.ascontiguousarray(array[flips])


def _slice_images(folder: Path) -> list[Path]:
    files = [p for p in folder.iterdir() if p.suffix.lower() in _IMAGES and not p.name.startswith(".")]
    return sorted(files, key=lambda p: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", p.name)])


def _image_stack(folder: Path, *, mask: bool = False) -> Volume:
    """A folder of axial 2-D images, row 0 in front, column 0 on the patient's right; 1 mm voxels that mean nothing."""
    files = _slice_images(folder)
    if not files:
        raise DataError(f"{folder.name}: no images in it; expected one per slice")
    planes = [read_mask(p, binary=True).array if mask else _grey(read_image(p).array) for p in files]
    if len({plane.shape for plane in planes}) > 1:
        raise DataError(f"{folder.name}: slices of different sizes; expected one size per study")
    stack = np.stack(planes, axis=2).transpose(1, 0, 2).astype(np.float32)
    return replace(new_volume(stack, np.diag([-1.0, -1.0, 1.0, 1.0])), name=folder.name)


def _grey(array: np.ndarray) -> np.ndarray:
    return array.mean(2) if array.ndim == 3 else array


def _labels(rows: Sequence[Row]) -> tuple[dict[Side, int | None], dict[Side, int | None]]:
    by_side = {row.side: row for row in rows}
    if "bilateral" in by_side:
        row = by_side["bilateral"]
        if row.meta.get("whole_image"):  # one region, whatever it shows
            return {"left": row.label}, {"left": row.label3}
        return dict.fromkeys(SIDES, None), dict.fromkeys(SIDES, None)
    sides = [side for side in SIDES if side in by_side]
    return {s: by_side[s].label for s in sides}, {s: by_side[s].label3 for s in sides}


def _labels_on(path: Path, like: Volume, meta: dict[str, Any]) -> np.ndarray:
    if path.is_dir():
        return _image_stack(path, mask=True).array
    volume = _with_affine(read_labels(path), meta)
    require_same_grid(like, volume)
    return volume.array


def _with_lesion(study: Study, manifest: Manifest, rows: Sequence[Row], like: Volume) -> Study:
    """The lesion as mask, centre and side, from whatever the table has."""
    row = next((r for r in rows if r.mask_path or r.box_ijk or r.box_mm or r.center_mm), None)
    if row is None:
        return study
    mask, center = None, row.center_mm
    if row.mask_path:
        mask = _labels_on(manifest.path(row.mask_path), like, row.meta) > 0
    elif row.box_ijk:
        mask = _box_mask(_box_in_file(row, manifest, like), like)
    if mask is not None and mask.any() and not row.meta.get("no_geometry"):
        center = center or mask_center_mm(_largest(mask), study.affine)
    if mask is not None and not mask.any():
        mask = None
    side = row.side if row.side in SIDES else side_of(center, study)
    return replace(study, lesion_mask=mask, center_mm=center, lesion_side=side)


def side_of(center_mm: tuple[float, float, float] | None, study: Study) -> Side | None:
    """The breast that a place lies in: left of the middle of a volume that shows both."""
    if center_mm is None:
        return None
    if len(study.sides) == 1:
        return study.sides[0]
    x = np.linalg.solve(study.affine[:3, :3], np.array(center_mm) - study.affine[:3, 3])[0]
    return "left" if x < (study.shape[0] - 1) / 2 else "right"


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    return mask if count < 2 else labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])


def _box_in_file(row: Row, manifest: Manifest, like: Volume) -> np.ndarray:
    """(2, 3) first and last voxel of the box in the file's axes (column, row, slice).

    Slices that are given by file (Duke: by number in the file's name) are found by their position, as the order of
    numbers may run against the order in space.
    """
    box = np.array(row.box_ijk, float).reshape(2, 3) - [[0, 0, 0], [1, 1, 1]]
    files = row.meta.get("box_slice_files")
    if files:
        places = []
        for name in files:
            header = read_header(manifest.path(name))
            if header is None or header[1].position_mm is None:
                raise DataError(f"{Path(name).name}: no position in space; the lesion's box cannot be placed")
            ras = np.array(header[1].position_mm) * [-1, -1, 1]
            affine = like.source.affine
            places.append(np.linalg.solve(affine[:3, :3], ras - affine[:3, 3])[2])
        box[:, 2] = sorted(places)
    return box


def _box_mask(box: np.ndarray, like: Volume) -> np.ndarray:
    """The box (2, 3), inclusive and in file axes, as a mask on the canonical grid."""
    to_canonical = np.linalg.inv(like.affine) @ like.source.affine
    corners = np.sort(np.rint(box @ to_canonical[:3, :3].T + to_canonical[:3, 3]), axis=0).astype(int)
    if (corners[1] < 0).any() or (corners[0] >= like.array.shape).any():
        raise DataError("lesion box: lies outside of the volume; check the index base and the series")
    mask = np.zeros(like.array.shape, bool)
    mask[tuple(slice(max(0, a), b + 1) for a, b in corners.T)] = True
    return mask
