from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mslaunet._shared.errors import ConfigError, DataError
from mslaunet.data.dataset import open_dataset, split_suffix
from mslaunet.data.loading import load_case
from mslaunet.synth import disc_labels, tilted_affine, write_synthetic


@pytest.fixture
def nnunet(tmp_path: Path) -> Path:
    write_synthetic("nnunet", tmp_path / "set", cases=2, slices=3)
    return tmp_path / "set"


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    write_synthetic("folders", tmp_path / "set", cases=3)
    return tmp_path / "set"


def test_nnunet_layout_is_recognised_with_its_classes_and_channels(nnunet: Path) -> None:
    dataset = open_dataset(nnunet)
    assert dataset.layout == "nnunet"
    assert dataset.channels == ("CT",)
    assert dataset.classes[0] == "background"
    assert len(dataset.classes) == 9
    assert [case.case_id for case in dataset.training] == ["disc_00", "disc_01"]


def test_plain_folders_of_images_are_binary(folders: Path) -> None:
    dataset = open_dataset(folders)
    assert dataset.layout == "folders"
    assert dataset.classes == {0: "background", 1: "foreground"}
    assert dataset.channels == ("red", "green", "blue")


def test_rgb_and_antialiased_masks_become_label_ids(folders: Path) -> None:
    dataset = open_dataset(folders)
    for case in dataset.training:
        loaded = load_case(case, num_channels=3, num_classes=2, mask_values=dataset.mask_values)
        assert loaded.image.shape == (3, 1, 64, 85)
        assert set(np.unique(loaded.mask)) == {0, 1}


def test_volume_slices_are_axial_and_spacing_follows_them(nnunet: Path) -> None:
    loaded = load_case(open_dataset(nnunet).training[0], num_channels=1, num_classes=9)
    assert loaded.image.shape == (1, 3, 64, 64)
    assert loaded.spacing_mm == pytest.approx((5.0, 0.7, 0.8), abs=1e-4)
    # The file's first axis runs to the left; canonical orientation turns it around.
    expected = disc_labels(64)[::-1].T
    assert np.array_equal(loaded.mask[1], expected)
    assert tilted_affine()[0, 0] < 0


def test_unknown_layout_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset.json with imagesTr/"):
        open_dataset(tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: expected a data set folder"):
        open_dataset(tmp_path / "nowhere")


def test_empty_image_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match="images: no image among 0 files"):
        open_dataset(tmp_path)


def test_missing_mask_is_named(folders: Path) -> None:
    (folders / "masks" / "ellipse_01.png").unlink()
    with pytest.raises(DataError, match=r"images/ellipse_01.png: no file of that name in masks/"):
        open_dataset(folders)


def test_orphan_mask_is_named(folders: Path) -> None:
    (folders / "images" / "ellipse_01.png").unlink()
    with pytest.raises(DataError, match=r"masks/ellipse_01.png: no file of that name in images/"):
        open_dataset(folders)


def test_missing_channel_is_named(nnunet: Path) -> None:
    header = json.loads((nnunet / "dataset.json").read_text())
    header["channel_names"]["1"] = "PET"
    (nnunet / "dataset.json").write_text(json.dumps(header))
    with pytest.raises(DataError, match=r"disc_00: found channels \[0\], expected \[0, 1\]"):
        open_dataset(nnunet)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {"background": 0, "organ": 2}}, r"label ids are \[0, 2\]"),
        ({"labels": {"background": 0, "tumour": [1, 2]}}, "region or ignore label"),
        ({"labels": {"background": 0, "organ": "x"}}, r"labels\.organ"),
        ({"file_ending": ".mha"}, "file_ending '.mha' is not supported"),
    ],
)
def test_bad_dataset_json_names_the_field(nnunet: Path, change: dict[str, object], message: str) -> None:
    header = {**json.loads((nnunet / "dataset.json").read_text()), **change}
    (nnunet / "dataset.json").write_text(json.dumps(header))
    with pytest.raises(DataError, match=message):
        open_dataset(nnunet)


def test_damaged_dataset_json_is_a_data_error(nnunet: Path) -> None:
    (nnunet / "dataset.json").write_text("{broken")
    with pytest.raises(DataError, match="not readable as JSON"):
        open_dataset(nnunet)


def test_label_outside_the_classes_is_refused(nnunet: Path) -> None:
    case = open_dataset(nnunet).training[0]
    with pytest.raises(DataError, match=r"label ids \[5, 6, 7, 8\] are outside 0..4"):
        load_case(case, num_channels=1, num_classes=5)


def test_mask_of_another_size_is_refused(folders: Path) -> None:
    from mslaunet._shared.io.images import write_png

    write_png(folders / "masks" / "ellipse_02.png", np.zeros((10, 10), np.uint8))
    case = open_dataset(folders).training[2]
    with pytest.raises(DataError, match="mask is 10x10, image is 64x85"):
        load_case(case, num_channels=3, num_classes=2, mask_values={0: 0, 255: 1})


def test_spaces_and_unicode_in_paths(tmp_path: Path) -> None:
    root = tmp_path / "Aufnähme 影像 (1)"
    write_synthetic("nnunet", root, cases=1, slices=2)
    loaded = load_case(open_dataset(root).training[0], num_channels=1, num_classes=9)
    assert loaded.image.shape == (1, 2, 64, 64)


@pytest.mark.parametrize(("name", "expected"), [("a.b.nii.gz", ("a.b", ".nii.gz")), ("x.PNG", ("x", ".png"))])
def test_double_suffix_is_one(name: str, expected: tuple[str, str]) -> None:
    assert split_suffix(Path(name)) == expected


def test_one_rgb_file_is_three_channels_of_an_nnunet_data_set(folders: Path) -> None:
    for old, new in (("images", "imagesTr"), ("masks", "labelsTr")):
        (folders / old).rename(folders / new)
    for path in (folders / "imagesTr").iterdir():
        path.rename(path.with_stem(f"{path.stem}_0000"))
    names = {"0": "R", "1": "G", "2": "B"}
    header = {"channel_names": names, "labels": {"background": 0, "polyp": 1}, "file_ending": ".png"}
    (folders / "dataset.json").write_text(json.dumps(header))
    dataset = open_dataset(folders)
    assert dataset.channels == ("R", "G", "B")
    case = replace(dataset.training[0], mask=None)
    assert load_case(case, num_channels=3, num_classes=2).image.shape == (3, 1, 64, 85)


def test_class_names_are_refused_where_the_data_set_has_its_own(nnunet: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.classes is for plain folders"):
        open_dataset(nnunet, classes={0: "background", 1: "organ"})
