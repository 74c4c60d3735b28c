"""DensePose maps and pictures are read as what they are; label maps keep their meaning in other ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tryon_bench._shared.errors import DataError
from tryon_bench.data.densepose import PARTS, part_colours, read_parts, read_uv, uv_picture
from tryon_bench.data.labels import NAMES, Scheme
from tryon_bench.data.relabel import in_vitonhd_ids
from tryon_bench.synth.files import write_jpeg, write_png


def parts() -> np.ndarray:
    return np.kron(np.arange(PARTS, dtype=np.uint8).reshape(5, 5), np.ones((32, 32), np.uint8))


def test_colours_are_opencvs_parula_on_black() -> None:
    import cv2

    values = (np.arange(PARTS) * 255 / 24).astype(np.uint8)
    theirs = cv2.applyColorMap(values[:, None], cv2.COLORMAP_PARULA)[:, 0, ::-1]
    ours = part_colours(np.arange(PARTS, dtype=np.uint8)[:, None])[:, 0]
    np.testing.assert_array_equal(ours[1:], theirs[1:])
    assert not ours[0].any()


def test_parts_come_back_from_a_map_and_from_a_picture(tmp_path: Path) -> None:
    write_png(tmp_path / "map.png", parts())
    write_png(tmp_path / "picture.png", part_colours(parts()))
    write_jpeg(tmp_path / "picture.jpg", part_colours(parts()))
    np.testing.assert_array_equal(read_parts(tmp_path / "map.png"), parts())
    np.testing.assert_array_equal(read_parts(tmp_path / "picture.png"), parts())
    assert (read_parts(tmp_path / "picture.jpg") == parts()).mean() > 0.97


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "photo.png", np.full((8, 8, 3), (200, 30, 200), np.uint8))
    write_png(tmp_path / "gray.png", np.full((8, 8), 99, np.uint8))
    with pytest.raises(DataError, match=r"photo\.png: not drawn in detectron2's colours"):
        read_parts(tmp_path / "photo.png")
    with pytest.raises(DataError, match=r"gray\.png: part index 99; DensePose ends at 24"):
        read_parts(tmp_path / "gray.png")


def test_uv_is_read_and_drawn(tmp_path: Path) -> None:
    uv = np.random.default_rng(0).random((2, 160, 160)).astype(np.float32)
    np.savez_compressed(tmp_path / "uv.npz", uv=uv)
    found = read_uv(tmp_path / "uv.npz")
    np.testing.assert_array_equal(found, uv)
    picture = uv_picture(parts(), found)
    assert not picture[parts() == 0].any()
    np.testing.assert_allclose(picture[parts() > 0][:, 1] / 255, uv[0][parts() > 0], atol=0.002)
    assert picture[parts() == 24][:, 0].min() == 255


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"<html>"])
def test_a_damaged_uv_table_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "uv.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"uv\.npz: expected an \.npz"):
        read_uv(tmp_path / "uv.npz")


def test_a_uv_table_of_another_name_or_shape_is_one_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", flow=np.zeros((2, 4, 4)))
    np.savez(tmp_path / "flat.npz", uv=np.zeros((4, 4)))
    with pytest.raises(DataError, match=r"other\.npz"):
        read_uv(tmp_path / "other.npz")
    with pytest.raises(DataError, match=r"flat\.npz: uv of shape \(4, 4\)"):
        read_uv(tmp_path / "flat.npz")


@pytest.mark.parametrize("scheme", NAMES)
def test_every_scheme_has_a_word_in_vitonhd_for_all_its_ids(scheme: Scheme) -> None:
    ids = np.arange(len(NAMES[scheme]), dtype=np.uint8)
    found = in_vitonhd_ids(ids, scheme)
    assert found.max() < len(NAMES["vitonhd"])
    for index, name in enumerate(NAMES[scheme]):
        if name in NAMES["vitonhd"]:
            assert NAMES["vitonhd"][found[index]] == name
    with pytest.raises(DataError, match="is this another scheme"):
        in_vitonhd_ids(np.array([len(ids)], np.uint8), scheme)
