"""Damaged and hostile NIfTI files: engineering.md 4.3, cases 21 to 23."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartet_shared.errors import DataError
from quartet_shared.io.volumes import read_labels, read_volume

# Byte offsets of the NIfTI-1 header.
DIM, DATATYPE, PIXDIM, VOX_OFFSET, SCL_SLOPE, QFORM_CODE, SFORM_CODE, SROW = 40, 70, 76, 108, 112, 252, 254, 280


def nifti_bytes(shape: tuple[int, ...] = (4, 5, 6), dtype: type = np.int16) -> bytearray:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    image = nib.Nifti1Image(array, np.diag([-1.0, 2.0, 3.0, 1.0]))
    return bytearray(image.to_bytes())


def put(data: bytearray, offset: int, code: str, *values: float) -> bytearray:
    struct.pack_into(f"<{code}", data, offset, *values)
    return data


def saved(folder: Path, data: bytes, name: str = "scan.nii") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ((3, 32767, 32767, 32767), "32767x32767x32767 voxels are more than the limit"),
        ((3, 4, -5, 6), "dimensions .*-5.* are not valid"),
        ((3, 4, 0, 6), "are not valid"),
        ((0, 4, 5, 6), "are not valid"),
        ((99, 4, 5, 6), "are not valid"),
        ((4, 4, 5, 3, 2), r"expected a 3-D volume, got 4-D \(4, 5, 3, 2\)"),
        ((2, 4, 30), r"expected a 3-D volume, got 2-D \(4, 30\)"),
        ((3, 400, 500, 600), "truncated"),
    ],
)
def test_impossible_dimensions_are_refused_before_allocating(
    tmp_path: Path, name: str, dims: tuple[int, ...], message: str
) -> None:
    path = saved(tmp_path, put(nifti_bytes(), DIM, f"{len(dims)}h", *dims), name)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"^{name}: .*{message}"):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def test_volume_over_the_callers_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="4x5x6 voxels are more than the limit of 119"):
        read_volume(saved(tmp_path, nifti_bytes()), max_voxels=119)


def test_gzip_that_cannot_hold_its_voxels_is_refused_without_unpacking(tmp_path: Path) -> None:
    path = saved(tmp_path, put(nifti_bytes(), DIM, "4h", 3, 512, 512, 512), "scan.nii.gz")
    with pytest.raises(DataError, match="truncated; the header promises 268435456 bytes"):
        read_volume(path)


@pytest.mark.parametrize("cut", [0, 1, 3, 200, 347, 351, 400, -1])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_truncated_content_is_a_data_error(tmp_path: Path, name: str, cut: int) -> None:
    with pytest.raises(DataError, match=f"^{name}: "):
        read_volume(saved(tmp_path, nifti_bytes()[:cut], name))


@pytest.mark.parametrize("cut", [1, 10, 60, -1, -9])
def test_truncated_gzip_is_a_data_error(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(nifti_bytes())[:cut])
    with pytest.raises(DataError, match=r"^scan\.nii\.gz: "):
        read_volume(path)


def test_wrong_gzip_checksum_is_a_data_error(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(nifti_bytes()))
    packed[-8] ^= 1
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(packed)
    with pytest.raises(DataError, match="damaged or truncated"):
        read_volume(path)


@pytest.mark.parametrize("content", [b"just text\n" * 100, b"<!DOCTYPE html><html></html>" * 50, bytes(1000), b""])
def test_other_files_renamed_to_nifti_are_a_data_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a single-file NIfTI"):
        read_volume(path)


def test_missing_file_and_folder_are_data_errors_without_their_path(tmp_path: Path) -> None:
    (tmp_path / "JANE_DOE").mkdir()
    with pytest.raises(DataError, match="No such file") as missing:
        read_volume(tmp_path / "JANE_DOE" / "scan.nii")
    assert "JANE_DOE" not in str(missing.value)
    with pytest.raises(DataError, match="Is a directory"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ("offset", "code", "values", "message"),
    [
        (PIXDIM + 8, "f", (0.0,), "voxel sizes are"),
        (PIXDIM + 8, "f", (-2.0,), "voxel sizes are"),
        (PIXDIM + 8, "f", (float("nan"),), "voxel sizes are"),
        (PIXDIM + 8, "f", (float("inf"),), "voxel sizes are"),
        (SROW, "12f", (float("nan"),) * 12, "affine .* is not invertible"),
        (SROW, "12f", (0.0,) * 12, "affine .* is not invertible"),
        (SROW, "8f", (1, 0, 0, 0, 1, 0, 0, 0), "affine .* is not invertible"),
        (VOX_OFFSET, "f", (float("nan"),), "voxels start at byte nan"),
        (VOX_OFFSET, "f", (1e30,), r"voxels start at byte 1e\+30"),
        (VOX_OFFSET, "f", (-8.0,), "voxels start at byte -8"),
        (DATATYPE, "h", (32,), "voxel type complex64 is not supported"),
        (DATATYPE, "h", (128,), "is not supported"),
        (DATATYPE, "h", (777,), "header is damaged"),
        (SCL_SLOPE, "2f", (1.0, float("inf")), "header is damaged"),
    ],
)
def test_unusable_header_field_is_a_data_error(
    tmp_path: Path, offset: int, code: str, values: tuple[float, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_volume(saved(tmp_path, put(nifti_bytes(), offset, code, *values)))


def test_quaternion_longer_than_one_is_a_data_error(tmp_path: Path) -> None:
    data = put(put(nifti_bytes(), SFORM_CODE, "h", 0), QFORM_CODE, "h", 1)
    with pytest.raises(DataError, match="header is damaged"):
        read_volume(saved(tmp_path, put(data, 256, "3f", 3.0, 3.0, 3.0)))


def test_qfac_of_zero_is_read_as_one(tmp_path: Path) -> None:
    data = put(put(nifti_bytes(), SFORM_CODE, "h", 0), QFORM_CODE, "h", 1)
    put(data, 256, "6f", 0.0, 0.0, 0.0, 7.0, 8.0, 9.0)
    volume = read_volume(saved(tmp_path, put(data, PIXDIM, "f", 0.0)))
    np.testing.assert_allclose(volume.affine, [[1, 0, 0, 7], [0, 2, 0, 8], [0, 0, 3, 9], [0, 0, 0, 1]])


def test_large_text_before_the_voxels_is_skipped_not_read(tmp_path: Path) -> None:
    data = nifti_bytes()
    bomb = put(data[:352], VOX_OFFSET, "f", float(352 + 2**23)) + bytes(2**23) + data[352:]
    bomb[348] = 1  # "extensions follow", of which the first claims 2 GiB
    put(bomb, 352, "2i", 2**31 - 16, 6)
    path = saved(tmp_path, bomb, "scan.nii.gz")
    tracemalloc.start()
    try:
        assert read_volume(path).array.shape == (4, 5, 6)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated")


names = st.sampled_from(["a.nii", "a.nii.gz"])
edits = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    edits=edits,
    dtype=st.sampled_from([np.int16, np.float32, np.float64]),
    name=names,
)
def test_mutated_bytes_raise_nothing_but_data_error(
    folder: Path, edits: list[tuple[int, int]], dtype: type, name: str
) -> None:
    data = nifti_bytes(dtype=dtype)
    for place, value in edits:
        data[place % len(data)] = value
    path = saved(folder, data, name)
    for read in (read_volume, read_labels):
        try:
            volume = read(path, max_voxels=10**6)
        except DataError:
            continue
        assert np.isfinite(volume.array).all()
        assert np.isfinite(volume.affine).all()


@settings(max_examples=100, deadline=None)
@given(edits=edits)
def test_mutated_gzip_raises_nothing_but_data_error(folder: Path, edits: list[tuple[int, int]]) -> None:
    packed = bytearray(gzip.compress(nifti_bytes()))
    for place, value in edits:
        packed[place % len(packed)] = value
    path = folder / "b.nii.gz"
    path.write_bytes(packed)
    try:
        assert read_volume(path).array.shape == (4, 5, 6)
    except DataError:
        return


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=1000))
def test_arbitrary_bytes_are_a_data_error(folder: Path, content: bytes) -> None:
    path = folder / "c.nii"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"^c\.nii: "):
        read_volume(path)
