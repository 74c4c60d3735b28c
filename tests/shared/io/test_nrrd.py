"""NRRD volumes are placed as a second library places them, and damaged ones are refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import nrrd
import numpy as np
import pytest

from quartet_shared.errors import DataError
from quartet_shared.io.nrrd import read_nrrd

ARRAY = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
SPACE = {
    "space": "left-posterior-superior",
    "space directions": np.array([[0.5, 0.1, 0], [-0.1, 0.5, 0], [0, 0, 2]]),
    "space origin": np.array([10.0, 20.0, 30.0]),
}


def write(path: Path, array: np.ndarray = ARRAY, **header: object) -> Path:
    nrrd.write(str(path), array, SPACE | header)
    return path


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("kind", ["int16", "uint8", "float32", "float64", "uint16"])
def test_voxels_and_places_are_those_of_simpleitk(tmp_path: Path, encoding: str, kind: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    path = write(tmp_path / "a.nrrd", ARRAY.astype(kind), encoding=encoding)
    volume, image = read_nrrd(path), sitk.ReadImage(str(path))
    place = np.array(image.TransformIndexToPhysicalPoint((1, 2, 3))) * (-1, -1, 1)
    index = np.linalg.solve(volume.affine[:3, :3], place - volume.affine[:3, 3])
    assert np.allclose(index, np.rint(index), atol=1e-9)
    assert volume.array[tuple(np.rint(index).astype(int))] == 23
    assert np.array_equal(np.sort(volume.array.ravel()), np.arange(24))


def test_big_endian_voxels_are_turned(tmp_path: Path) -> None:
    header = "NRRD0004\ntype: short\ndimension: 3\nspace: RAS\nsizes: 2 3 4\nendian: big\nencoding: raw\n"
    header += "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + ARRAY.astype(">i2").tobytes(order="F"))
    assert np.array_equal(read_nrrd(tmp_path / "a.nrrd").array, ARRAY)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d[:-5], "truncated"),
        (lambda d: b"X" + d, "not an NRRD"),
        (lambda d: d.replace(b"sizes: 2 3 4", b"sizes: 2 3"), "sizes are"),
        (lambda d: d.replace(b"sizes: 2 3 4", b"sizes: 99999 99999 4"), "more than the limit"),
        (lambda d: d.replace(b"encoding: raw", b"encoding: bz2"), "encoding 'bz2'"),
        (lambda d: d.replace(b"left-posterior", b"scanner-xyz"), "not placed"),
        (lambda d: d.replace(b"type: short", b"type: block"), "voxel type 'block'"),
        (lambda d: d.replace(b"encoding: raw", b"encoding: raw\ndata file: x.raw"), "another file"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Callable[[bytes], bytes], words: str) -> None:
    path = write(tmp_path / "a.nrrd", encoding="raw")
    data = path.read_bytes().replace(b"type: int16", b"type: short")
    path.write_bytes(change(data))
    with pytest.raises(DataError, match=words):
        read_nrrd(path)


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="NaN"):
        read_nrrd(write(tmp_path / "a.nrrd", np.full((2, 2, 2), np.nan, np.float32)))


def test_random_bytes_never_give_a_trace(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.nrrd", encoding="gzip").read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            broken[at] = rng.integers(256)
        (tmp_path / "b.nrrd").write_bytes(broken)
        with suppress(DataError):
            read_nrrd(tmp_path / "b.nrrd")
