from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mslaunet.predict.writers as writers
from mslaunet._shared.errors import DataError
from mslaunet._shared.io.volumes import new_volume, read_volume, require_same_grid, write_volume
from mslaunet.data.loading import LoadedCase, slices_first
from mslaunet.predictions import read_map
from mslaunet.synth import tilted_affine


def _tilted(tmp_path: Path, affine: np.ndarray) -> LoadedCase:
    source = new_volume(np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32), affine)
    write_volume(tmp_path / "scan.nii.gz", source.array, like=source, dtype=np.float32)
    volume = read_volume(tmp_path / "scan.nii.gz")
    x_mm, y_mm, z_mm = volume.spacing_mm
    return LoadedCase(slices_first(volume.array)[None], None, (z_mm, y_mm, x_mm), volume)


PERMUTED = np.array([[0, 0, 2.0, 5], [-1.5, 0, 0, 7], [0, 0.7, 0, -3], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    "affine", [tilted_affine(), PERMUTED, np.diag([-1.0, -1, 3, 1])], ids=["tilt", "turn", "flip"]
)
def test_labels_lie_on_the_voxels_they_were_predicted_for(affine: np.ndarray, tmp_path: Path) -> None:
    """A mask of the brightest voxels, written and read by nibabel alone, marks the brightest voxels of the file."""
    import nibabel as nib

    case = _tilted(tmp_path, affine)
    writers.write_mask(tmp_path / "mask.nii.gz", (case.image[0] > 1).astype(np.uint8), case, {})
    scan, mask = nib.load(tmp_path / "scan.nii.gz"), nib.load(tmp_path / "mask.nii.gz")
    assert np.allclose(scan.affine, mask.affine)
    assert np.array_equal(np.asarray(mask.dataobj), np.asarray(scan.dataobj) > 1)


def test_a_mask_that_comes_back_changed_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = _tilted(tmp_path, tilted_affine())
    honest = writers.write_volume

    def flipped(path: Path, array: np.ndarray, **more: object) -> None:
        honest(path, array[::-1], **more)

    monkeypatch.setattr(writers, "write_volume", flipped)
    with pytest.raises(DataError, match=r"mask.nii.gz: reads back differently"):
        writers.write_mask(tmp_path / "mask.nii.gz", (case.image[0] > 1).astype(np.uint8), case, {})
    assert not (tmp_path / "mask.nii.gz").exists()


def test_maps_lie_on_the_same_grid(tmp_path: Path) -> None:
    case = _tilted(tmp_path, PERMUTED)
    values = np.random.default_rng(1).random(case.image.shape[1:]).astype(np.float32)
    writers.write_map(tmp_path / "map.nii.gz", values, case)
    require_same_grid(case.volume, read_volume(tmp_path / "map.nii.gz"))
    assert np.array_equal(slices_first(read_map(tmp_path / "map.nii.gz")), values)


def test_two_dimensional_maps_are_16_bit_images(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random((1, 4, 6)).astype(np.float32)
    writers.write_map(tmp_path / "map.png", values, LoadedCase(values[None], None, (1, 1, 1), None))
    assert np.allclose(read_map(tmp_path / "map.png"), values[0], atol=1e-5)


def test_pixels_are_those_of_the_training_masks() -> None:
    assert writers.to_pixels(np.array([[0, 1]], np.uint8), {0: 0, 255: 1}).tolist() == [[0, 255]]
    assert writers.to_pixels(np.array([[0, 3]], np.uint8), {}).tolist() == [[0, 3]]
