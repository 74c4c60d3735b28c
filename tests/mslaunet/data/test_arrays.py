"""`.npz` and `.npy.h5`: what people have in them, and what hostile files do not reach."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mslaunet._shared.errors import DataError
from mslaunet.data.arrays import read_array_pair

IMAGE = np.linspace(0, 1, 24, dtype=np.float64).reshape(4, 6)
LABEL = np.arange(24).reshape(4, 6) % 9


def npz(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("image_type", [np.float16, np.float32, np.float64, np.uint8, np.int64])
@pytest.mark.parametrize("label_type", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("keys", [("image", "label"), ("img", "label"), ("image", "mask")])
def test_any_numeric_type_and_both_conventions_of_keys(
    tmp_path: Path, image_type: type, label_type: type, keys: tuple[str, str]
) -> None:
    path = npz(tmp_path / "a.npz", **{keys[0]: IMAGE.astype(image_type), keys[1]: LABEL.astype(label_type)})
    image, label = read_array_pair(path)
    assert image is not None
    assert label is not None
    assert (image.dtype, label.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(label, LABEL)
    np.testing.assert_allclose(image, IMAGE.astype(image_type), atol=1e-6)


def test_h5_volume_is_read_by_its_content_not_its_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "case.npz", "w") as file:
        file["image"], file["label"] = np.stack([IMAGE] * 3), np.stack([LABEL] * 3)
    image, label = read_array_pair(tmp_path / "case.npz")
    assert image is not None
    assert label is not None
    assert image.shape == label.shape == (3, 4, 6)


def test_image_may_be_left_unread(tmp_path: Path) -> None:
    assert read_array_pair(npz(tmp_path / "a.npz", image=IMAGE, label=LABEL), image=False)[0] is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"label": LABEL}, "no array image or img in it"),
        ({"image": IMAGE, "label": LABEL[:3]}, r"image is \(4, 6\), label \(3, 6\)"),
        ({"image": IMAGE, "label": LABEL + 0.5}, "24 labels are no whole numbers"),
        ({"image": IMAGE, "label": LABEL - 1.0}, "labels are no whole numbers"),
        ({"image": IMAGE * np.nan, "label": LABEL}, "24 of 24 intensities are NaN"),
        ({"image": IMAGE[0], "label": LABEL[0]}, r"array of shape \(6,\)"),
        ({"image": IMAGE[:, :0], "label": LABEL[:, :0]}, "expected .H, W. or"),
        ({"image": IMAGE.astype("U5"), "label": LABEL}, "expected integers or real numbers"),
        ({"image": IMAGE * 1j, "label": LABEL}, "expected integers or real numbers"),
    ],
)
def test_arrays_that_are_no_image_with_labels_are_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=rf"^a\.npz: .*{message}"):
        read_array_pair(npz(tmp_path / "a.npz", **arrays))


def test_a_pickle_in_the_archive_is_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("the pickle ran",))

    array = np.empty(2, object)
    array[:] = [Bomb(), Bomb()]
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.zeros((4, 6)), allow_pickle=False)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("image.npy", stream.getvalue()[:10] + pickle.dumps(1))
    np.savez(tmp_path / "b.npz", image=np.array(0), allow_pickle=False)
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        body = io.BytesIO()
        np.lib.format.write_array(body, array, allow_pickle=True)
        archive.writestr("image.npy", body.getvalue())
    for name in ("a.npz", "c.npz"):
        with pytest.raises(DataError, match=f"^{name}"):
            read_array_pair(tmp_path / name)


def test_a_header_that_promises_more_than_its_archive_holds_costs_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (512, 512, 900)}
    )
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", header.getvalue() + bytes(1000))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="promises 1887436800 bytes"):
            read_array_pair(tmp_path / "bomb.npz")
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_arrays_over_the_limit_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than 23 values"):
        read_array_pair(npz(tmp_path / "a.npz", image=IMAGE, label=LABEL), max_values=23)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("image", shape=(4096, 4096, 4096), dtype="f8", chunks=(64, 64, 64), compression="gzip")
    with pytest.raises(DataError, match="more than 536870912 values"):
        read_array_pair(tmp_path / "b.h5")


def test_links_and_virtual_sets_of_h5_do_not_reach_other_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["image"] = IMAGE
    for name in ("external", "soft", "virtual"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            if name == "external":
                file["image"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/image")
            elif name == "soft":
                file["image"] = h5py.SoftLink("/elsewhere")
            else:
                layout = h5py.VirtualLayout(shape=(4, 6), dtype="f8")
                layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "image", shape=(4, 6))
                file.create_virtual_dataset("image", layout)
        with pytest.raises(DataError, match=r"no array image or img|no array of this file"):
            read_array_pair(tmp_path / f"{name}.h5")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + bytes(40), b"<html>" * 40])
def test_other_content_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"^a\.npz: "):
        read_array_pair(tmp_path / "a.npz")


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^a\.npz: cannot be read"):
        read_array_pair(tmp_path / "a.npz")
