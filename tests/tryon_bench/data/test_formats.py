"""Layouts: written by `synth`, opened by name and by recognition; aliases and the traps of pair lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tryon_bench._shared.errors import ConfigError, DataError
from tryon_bench.data.open import FORMATS, open_dataset, recognise
from tryon_bench.data.pairs import find_list, read_pairs
from tryon_bench.synth.write import write_synthetic

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A synthetic data set of a layout, fresh for this test."""

    def write(fmt: str, **options: object) -> Path:
        cases = 6 if fmt == "dresscode" else 3
        root = tmp_path / fmt
        write_synthetic(fmt, root, **{"cases": cases, "size": (32, 24), **options})  # type: ignore[arg-type]
        return root

    return write


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_layout_is_recognised_and_complete_in_both_settings(fmt: str, make: Make) -> None:
    root = make(fmt)
    assert recognise(root) == fmt
    for setting in ("paired", "unpaired"):
        dataset = open_dataset(root, setting=setting)
        assert dataset.format == fmt
        assert len(dataset.samples) == (6 if fmt == "dresscode" else 3)
        for sample in dataset.samples:
            assert sample.person.is_file()
            assert sample.garment.is_file()
            assert sample.reference is not None
            assert sample.parse is not None
            assert sample.self_pair == (setting == "paired")
            assert sample.setting == setting


@pytest.mark.parametrize("fmt", ["vitonhd", "survey-viton"])
def test_the_folders_of_vitonhd_serve_every_role(fmt: str, make: Make) -> None:
    sample = open_dataset(make(fmt), fmt).samples[0]
    for role in ("parse", "garment_mask", "agnostic_mask", "agnostic", "densepose", "keypoints"):
        assert getattr(sample, role) is not None, role
    assert sample.parse is not None
    assert sample.parse.parent.name == "image-parse-v3"
    assert sample.parse_scheme == "vitonhd"


@pytest.mark.parametrize("fmt", ["vitonhd", "dresscode", "viton", "mpv"])
def test_a_named_folder_that_is_not_there_is_no_missing_parse(fmt: str, make: Make) -> None:
    with pytest.raises(DataError, match=r"--folder parse=seg: no such folder in .+/; correct the name"):
        open_dataset(make(fmt), fmt, folders={"parse": "seg"})


@pytest.mark.parametrize(
    ("published", "alias"),
    [
        ("image-parse-v3", "image-parse"),
        ("cloth-mask", "cloth_mask"),
        ("openpose_json", "openpose-json"),
        ("agnostic-v3.2", "agnostic"),
        ("image", "images"),
        ("cloth", "clothes"),
    ],
)
def test_older_and_other_folder_names_are_found(published: str, alias: str, make: Make) -> None:
    root = make("vitonhd")
    (root / "test" / published).rename(root / "test" / alias)
    sample = open_dataset(root, "vitonhd").samples[0]
    found = {path.parent.name for path in vars(sample).values() if isinstance(path, Path)}
    assert alias in found


def test_the_agnostic_parse_is_never_taken_for_the_parse(make: Make) -> None:
    root = make("vitonhd")
    (root / "test" / "image-parse-v3").rename(root / "test" / "elsewhere")
    assert open_dataset(root).samples[0].parse is None


def test_a_missing_folder_is_an_error_that_lists_what_was_tried(make: Make) -> None:
    root = make("vitonhd")
    (root / "test" / "cloth").rename(root / "test" / "products")
    with pytest.raises(DataError, match=r"tried cloth/, clothes/; name it with --folder"):
        open_dataset(root, "vitonhd")
    assert open_dataset(root, "vitonhd", folders={"garment": "products"}).samples[0].garment.is_file()
    with pytest.raises(ConfigError, match="unknown role"):
        open_dataset(root, "vitonhd", folders={"garments": "products"})


def test_the_folder_of_a_split_is_a_data_set_too(make: Make) -> None:
    root = make("vitonhd")
    assert len(open_dataset(root / "test", "vitonhd", "unpaired").samples) == 3


def test_self_pairs_of_an_unpaired_list_are_marked(make: Make) -> None:
    root = make("viton")
    lines = (root / "test_pairs.txt").read_text().splitlines()
    lines[0] = "000001_0.jpg 000001_1.jpg"
    (root / "test_pairs.txt").write_text("\n".join(lines))
    assert [s.self_pair for s in open_dataset(root, setting="unpaired").samples] == [True, False, False]


def test_the_lists_of_daflow_mean_the_opposite_and_are_understood(make: Make) -> None:
    root = make("viton")
    (root / "test_pairs.txt").rename(root / "test_unpairs.txt")
    (root / "test_pairs_same.txt").rename(root / "test_pairs.txt")
    assert all(s.self_pair for s in open_dataset(root, setting="paired").samples)
    assert not any(s.self_pair for s in open_dataset(root, setting="unpaired").samples)


def test_a_paired_list_under_the_unpaired_name_is_refused(make: Make) -> None:
    root = make("viton")
    (root / "test_pairs.txt").write_text((root / "test_pairs_same.txt").read_text())
    with pytest.raises(DataError, match=r"3 of 3 rows put the worn garment on; this is a paired list"):
        open_dataset(root, setting="unpaired")


def test_an_unpaired_list_has_no_targets(make: Make) -> None:
    root = make("viton")
    with pytest.raises(DataError, match="the paired setting has no target"):
        open_dataset(root, setting="paired", pairs=root / "test_pairs.txt")


def test_prefixes_tabs_and_further_columns_are_read(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("﻿image/a_0.jpg cloth/b_1.jpg\na b_0.jpg\tc 1.jpg\textra\n\nonly_0.jpg\n")
    assert read_pairs(path) == [("a_0.jpg", "b_1.jpg", 1), ("a b_0.jpg", "c 1.jpg", 2), ("only_0.jpg", "", 4)]


def test_one_column_lists_name_persons_in_their_own_garments(make: Make) -> None:
    root = make("viton")
    (root / "one.txt").write_text("000002_0.jpg\n")
    sample = open_dataset(root, pairs=root / "one.txt").samples[0]
    assert sample.garment.name == "000002_1.jpg"


def test_lists_with_a_date_are_found(tmp_path: Path) -> None:
    (tmp_path / "test_pairs_unpaired_1018.txt").write_text("a b\n")
    assert find_list([tmp_path], "unpaired", "test") == tmp_path / "test_pairs_unpaired_1018.txt"


def test_a_pair_that_stands_twice_is_refused(make: Make) -> None:
    root = make("viton")
    (root / "twice.txt").write_text("000001_0.jpg 000002_1.jpg\n" * 2)
    with pytest.raises(DataError, match="stand there twice"):
        open_dataset(root, setting="unpaired", pairs=root / "twice.txt")


def test_dresscode_finds_each_category_and_its_garment_labels(make: Make) -> None:
    root = make("dresscode")
    dataset = open_dataset(root, setting="unpaired")
    assert sorted({s.category for s in dataset.samples}) == ["dresses", "lower_body", "upper_body"]
    assert all(s.person.parent.parent.name == s.category for s in dataset.samples)
    one = open_dataset(root / "dresses", setting="unpaired")
    assert {s.category for s in one.samples} == {"dresses"}
    (root / "test_pairs_unpaired.txt").unlink()
    assert len(open_dataset(root, setting="unpaired").samples) == 6  # the categories' own lists


def test_mpv_takes_front_views_and_makes_an_unpaired_list_without_self_pairs(make: Make) -> None:
    dataset = open_dataset(make("mpv"), setting="unpaired")
    assert all("front" in s.person.name for s in dataset.samples)
    assert "garments moved to the next item" in dataset.pairs
    assert not any(s.self_pair for s in dataset.samples)


def test_a_manifest_may_not_leave_its_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("person,garment\n../a.png,b.png\n")
    with pytest.raises(DataError, match="expected a relative path inside the data folder"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("person\na.png\n", "no column garment"),
        ("person,garment,colour\na.png,b.png,red\n", "unknown column 'colour'"),
        ("person,garment\na.png,\n", "row 1 has no garment"),
        ("person,garment,self_pair\na.png,b.png,maybe\n", "expected true or false"),
        ("person,garment,setting\na.png,b.png,unpaired\n", "no row of the setting 'paired'"),
    ],
)
def test_a_wrong_manifest_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path)


def test_a_manifest_of_json_lines(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"person": "a.png", "garment": "b.png", "self_pair": false}\n')
    sample = open_dataset(tmp_path, setting="unpaired").samples[0]
    assert (sample.pair_id, sample.self_pair) == ("a__b", False)


def test_nothing_recognisable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="layout not recognised"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match="no such data set"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="format 'coco' is unknown"):
        open_dataset(tmp_path, "coco")


def test_a_split_that_is_not_there_is_named(make: Make) -> None:
    with pytest.raises(DataError, match="no folder train/ but test/; choose --split test"):
        open_dataset(make("vitonhd"), split="train")


def test_the_hash_of_a_list_depends_on_who_wears_what_and_not_on_where_it_lies(make: Make, tmp_path: Path) -> None:
    root = make("viton")
    before = open_dataset(root, setting="unpaired").list_hash
    assert open_dataset(root).list_hash != before
    moved = root.rename(tmp_path / "moved")
    assert open_dataset(moved, setting="unpaired").list_hash == before
