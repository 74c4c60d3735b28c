"""Every check finds the defect that it is for, and says nothing about a clean data set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mslaunet._shared.io.images import write_png
from mslaunet._shared.io.volumes import new_volume, read_labels, read_volume, write_volume
from mslaunet.doctor import Finding, examine
from mslaunet.prepare import prepare_dataset
from mslaunet.synth import tilted_affine, write_synthetic

Run = Callable[..., Result]


def findings(root: Path, check: str, **options: object) -> list[Finding]:
    found = examine(root, quiet=True, **options).findings  # type: ignore[arg-type]
    return [finding for finding in found if finding.check == check]


def rewrite(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    volume = new_volume(array, tilted_affine() if affine is None else affine)
    write_volume(path, volume.array, like=volume, dtype=array.dtype)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    write_synthetic("nnunet", tmp_path / "set", cases=4, slices=3)
    return tmp_path / "set"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_synthetic("clinicdb-original", tmp_path / "set", cases=6)
    return tmp_path / "set"


@pytest.mark.parametrize("layout", ["nnunet", "synapse", "acdc", "acdc-raw", "dicom", "totalsegmentator-mr"])
def test_a_clean_data_set_has_no_finding(tmp_path: Path, layout: str) -> None:
    write_synthetic(layout, tmp_path / "set", cases=3, slices=3)
    assert examine(tmp_path / "set", quiet=True).healthy


def test_an_unreadable_case_is_an_error_with_its_reason(scans: Path) -> None:
    (scans / "imagesTr/disc_02_0000.nii.gz").write_bytes(b"broken")
    found = findings(scans, "readable")
    assert (found[0].severity, found[0].cases) == ("error", ("disc_02",))
    assert "not a single-file NIfTI" in found[0].message


def test_tiny_images_are_found(tmp_path: Path) -> None:
    write_synthetic("nnunet", tmp_path / "set", cases=2, side_px=24)
    assert "2 of 2 cases are smaller than 32 pixels" in findings(tmp_path / "set", "size")[0].message


def test_odd_spacing_is_found(scans: Path) -> None:
    affine = tilted_affine()
    affine[:3, 2] *= 4
    image = read_volume(scans / "imagesTr/disc_01_0000.nii.gz")
    mask = read_labels(scans / "labelsTr/disc_01.nii.gz")
    rewrite(scans / "imagesTr/disc_01_0000.nii.gz", image.array[::-1].astype(np.int16), affine)
    rewrite(scans / "labelsTr/disc_01.nii.gz", mask.array[::-1], affine)
    found = findings(scans, "spacing")
    assert found[0].cases == ("disc_01",)
    assert "far from the median of 5x0.7x0.8 mm" in found[0].message


def test_lost_spacing_is_found(scans: Path) -> None:
    for path in scans.rglob("*.nii.gz"):
        volume = read_volume(path)
        rewrite(path, volume.array.astype(np.int16), np.eye(4))
    assert "was the voxel size lost" in findings(scans, "spacing")[0].message


def test_mixed_orientation_is_found(scans: Path) -> None:
    for name in ("imagesTr/disc_03_0000.nii.gz", "labelsTr/disc_03.nii.gz"):
        volume = read_volume(scans / name)
        rewrite(scans / name, volume.array.astype(np.int16), volume.affine)
    found = findings(scans, "orientation")
    assert found[0].cases == ("disc_03",)
    assert "LAS 3, RAS 1" in found[0].message


def test_intensities_that_are_no_hu_or_constant_are_found(scans: Path) -> None:
    shape = (64, 64, 3)
    rewrite(scans / "imagesTr/disc_00_0000.nii.gz", np.random.default_rng(0).random(shape).astype(np.float32))
    rewrite(scans / "imagesTr/disc_01_0000.nii.gz", np.full(shape, 7, np.int16))
    found = {finding.severity: finding.cases for finding in findings(scans, "intensity")}
    assert found == {"error": ("disc_01",), "warning": ("disc_00",)}


def test_pictures_that_use_a_sliver_of_their_range_are_found(tmp_path: Path) -> None:
    write_synthetic("nuclei", tmp_path / "set")
    found = findings(tmp_path / "set", "intensity")
    assert "train with --set data.intensity=zscore" in found[0].message


def test_empty_masks_and_absent_classes_are_found(scans: Path) -> None:
    for i in range(4):
        path = scans / f"labelsTr/disc_{i:02d}.nii.gz"
        labels = read_labels(path)
        array = np.where(labels.array == 8, 0, labels.array) * (i > 0)
        write_volume(path, array, like=labels, dtype=np.uint8)
    messages = [finding.message for finding in findings(scans, "labels")]
    assert messages == ["1 of 4 cases have an empty mask", "class 8 (disc_8) is in no mask"]


def test_a_label_id_outside_the_classes_is_an_error(scans: Path) -> None:
    path = scans / "labelsTr/disc_00.nii.gz"
    labels = read_labels(path)
    write_volume(path, labels.array + 5, like=labels, dtype=np.uint8)
    assert "outside 0..8" in findings(scans, "readable")[0].message


def test_soft_masks_are_counted(photos: Path) -> None:
    found = findings(photos, "ambiguous pixels")
    assert found[0].cases == ("2",)
    assert examine(photos, quiet=True).to_json()["summary"]["ambiguous_pixels"] > 30


def test_swapped_kidneys_are_found_by_their_place(tmp_path: Path) -> None:
    write_synthetic("btcv", tmp_path / "set", cases=3)
    assert findings(tmp_path / "set", "anatomy") == []
    path = tmp_path / "set/Training/label/label0002.nii.gz"
    labels = read_labels(path)
    table = np.array([0, 1, 3, 2, *range(4, 14)], np.uint8)
    swapped = table[labels.array]
    write_volume(path, swapped, like=labels, dtype=np.uint8)
    found = findings(tmp_path / "set", "anatomy")
    assert found[0].cases == ("case0002",)
    assert "left kidney on the right side" in found[0].message


def test_scans_of_unknown_orientation_have_no_left_side(tmp_path: Path) -> None:
    write_synthetic("synapse", tmp_path / "set", cases=3, slices=2)
    prepare_dataset("synapse", tmp_path / "set", tmp_path / "dst", quiet=True)
    assert findings(tmp_path / "dst", "anatomy") == []
    assert examine(tmp_path / "dst", quiet=True).to_json()["summary"]["orientation"] == {}


def test_a_small_liver_is_an_error(tmp_path: Path) -> None:
    write_synthetic("btcv", tmp_path / "set", cases=2)
    for path in (tmp_path / "set/Training/label").iterdir():
        labels = read_labels(path)
        write_volume(path, np.where(labels.array == 6, 0, labels.array), like=labels, dtype=np.uint8)
    assert "larger than the liver" in findings(tmp_path / "set", "anatomy")[0].message


def test_copies_are_found_by_their_pixels_and_worse_across_a_split(scans: Path) -> None:
    shutil.copy(scans / "imagesTr/disc_00_0000.nii.gz", scans / "imagesTr/disc_02_0000.nii.gz")
    found = findings(scans, "duplicates")
    assert (found[0].severity, found[0].cases) == ("warning", ("disc_00", "disc_02"))
    (scans / "imagesTs").mkdir()
    shutil.copy(scans / "imagesTr/disc_01_0000.nii.gz", scans / "imagesTs/new_0000.nii.gz")
    found = findings(scans, "duplicates")
    assert ("error", ("disc_01", "new")) in [(finding.severity, finding.cases) for finding in found]


def test_a_copy_with_another_encoding_is_still_a_copy(photos: Path) -> None:
    from mslaunet._shared.io.images import read_image

    pixels = read_image(photos / "Original/1.tif").array
    (photos / "Original/2.tif").unlink()
    write_png(photos / "Original/2.png", pixels)
    assert findings(photos, "duplicates")[0].cases == ("1", "2")


def test_videos_across_a_split_are_an_error(photos: Path) -> None:
    rows = [{"train": ["1", "3"], "val": ["2"]}]
    (photos / "splits_final.json").write_text(json.dumps(rows))
    found = findings(photos, "split")
    assert (found[0].severity, found[0].message) == (
        "error",
        "1 patients or sequences are on both sides of fold 0",
    )


def test_files_changed_since_they_were_prepared_are_an_error(scans: Path, tmp_path: Path) -> None:
    prepare_dataset("nnunet", scans, tmp_path / "dst", quiet=True)
    assert findings(tmp_path / "dst", "hashes") == []
    path = tmp_path / "dst/labelsTr/disc_00.nii.gz"
    labels = read_labels(path)
    write_volume(path, np.roll(labels.array, 1, 0), like=labels, dtype=np.uint8)
    assert "1 files are missing or changed since they were prepared: labelsTr/disc_00.nii.gz" in (
        findings(tmp_path / "dst", "hashes")[0].message
    )


def test_what_keeps_a_data_set_from_being_opened_is_a_finding(scans: Path, run_cli: Run) -> None:
    (scans / "labelsTr/disc_01.nii.gz").unlink()
    result = run_cli("doctor", scans, "--quiet", "--json")
    assert result.exit_code == 1
    finding = json.loads(result.stdout)["findings"][0]
    assert (finding["check"], finding["severity"]) == ("opening", "error")
    assert "disc_01.nii.gz: the mask of a training case is missing" in finding["message"]
    assert "set: cannot be opened as a data set" in run_cli("doctor", scans, "--quiet").stdout


def test_a_wrong_label_map_is_a_finding(tmp_path: Path, run_cli: Run) -> None:
    from mslaunet.synth.arrays import write_npz

    write_synthetic("synapse", tmp_path / "set", cases=2, slices=2)
    label = np.zeros((64, 64))
    label[:30], label[30:40], label[40:44], label[44:46] = 5, 8, 7, 1
    for path in (tmp_path / "set/train_npz").iterdir():
        write_npz(path, image=np.full((64, 64), 0.5), label=label)
    result = run_cli("doctor", tmp_path / "set", "--label-map", "cascade", "--quiet")
    assert (result.exit_code, "larger than the liver" in result.stdout) == (1, True)


def test_the_command_exits_1_with_findings_and_0_without(scans: Path, run_cli: Run) -> None:
    clean = run_cli("doctor", scans, "--quiet")
    assert (clean.exit_code, clean.stdout.splitlines()[-1]) == (0, "nothing found")
    (scans / "imagesTr/disc_02_0000.nii.gz").write_bytes(b"broken")
    result = run_cli("doctor", scans, "--quiet", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert [finding["check"] for finding in answer["findings"]] == ["readable"]
    assert answer["summary"]["spacing_mm"]["median"] == pytest.approx([5.0, 0.7, 0.8], abs=1e-5)
    assert answer["summary"]["volumes"]["disc_5"]["cases"] == 3
    assert "disc_02" in run_cli("doctor", scans, "--quiet").stdout
    assert run_cli("doctor", scans / "nowhere").exit_code == 3
