"""The clothing region of a sample, the label schemes, and keypoints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tryon_bench._shared.errors import ConfigError, DataError
from tryon_bench._shared.io.images import read_mask, write_png
from tryon_bench.data.keypoints import COCO18, read_keypoints
from tryon_bench.data.labels import CATEGORIES, NAMES, VITONHD_GROUPS, garment_labels, labels_named
from tryon_bench.data.open import open_dataset
from tryon_bench.data.sample import Sample, clothing_mask, read_parse
from tryon_bench.metrics.regions import grown
from tryon_bench.synth.cast import draw_actor
from tryon_bench.synth.write import write_synthetic

SIZE = (96, 72)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three layouts whose parses follow three schemes."""
    roots = {name: tmp_path_factory.mktemp(name) / "set" for name in ("vitonhd", "dresscode", "viton")}
    for name, root in roots.items():
        write_synthetic(name, root, cases=6, size=SIZE)
    return roots


def sample_of(sets: dict[str, Path], fmt: str, setting: str, index: int = 0) -> Sample:
    return open_dataset(sets[fmt], fmt, setting).samples[index]  # type: ignore[arg-type]


@pytest.mark.parametrize("fmt", ["vitonhd", "viton"])
def test_paired_the_region_is_the_garment_that_was_drawn(sets: dict[str, Path], fmt: str) -> None:
    mask = clothing_mask(sample_of(sets, fmt, "paired"))
    np.testing.assert_array_equal(mask, draw_actor(1, SIZE, 0).photo().garment_mask)


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_category_of_dresscode_has_its_own_garment(sets: dict[str, Path], category: str) -> None:
    dataset = open_dataset(sets["dresscode"])
    sample = next(s for s in dataset.samples if s.category == category)
    number = int(sample.person.stem[:6])
    drawn = draw_actor(number, SIZE, 0, category).photo().garment_mask
    np.testing.assert_array_equal(clothing_mask(sample), drawn)
    assert drawn.any()


def test_unpaired_the_grown_agnostic_mask_joins_the_parse(sets: dict[str, Path]) -> None:
    sample = sample_of(sets, "vitonhd", "unpaired")
    assert sample.agnostic_mask is not None
    repaint = read_mask(sample.agnostic_mask, binary=True).array.astype(bool)
    expected = grown(repaint, 1) | clothing_mask(replace(sample, setting="paired"))
    np.testing.assert_array_equal(clothing_mask(sample), expected)


def test_one_of_the_two_masks_is_enough_and_none_is_an_error(sets: dict[str, Path]) -> None:
    sample = sample_of(sets, "vitonhd", "unpaired")
    assert clothing_mask(replace(sample, parse=None)).any()
    assert clothing_mask(replace(sample, agnostic_mask=None)).any()
    with pytest.raises(DataError, match="no clothing region; expected a parse or an agnostic mask"):
        clothing_mask(replace(sample, parse=None, agnostic_mask=None))
    with pytest.raises(DataError, match="no clothing region; expected a parse of the photo"):
        clothing_mask(replace(sample, parse=None, setting="paired"))


def test_masks_of_two_sizes_are_refused(sets: dict[str, Path], tmp_path: Path) -> None:
    write_png(tmp_path / "small.png", np.full((48, 36), 255, np.uint8))
    with pytest.raises(DataError, match="regions need masks of one size"):
        clothing_mask(replace(sample_of(sets, "vitonhd", "unpaired"), agnostic_mask=tmp_path / "small.png"))


def test_an_id_beyond_the_scheme_is_refused(sets: dict[str, Path], tmp_path: Path) -> None:
    write_png(tmp_path / "parse.png", np.full(SIZE, 20, np.uint8))
    with pytest.raises(DataError, match="label id 20; vitonhd ends at 19"):
        read_parse(replace(sample_of(sets, "vitonhd", "paired"), parse=tmp_path / "parse.png"))


def test_a_parse_rendered_in_colours_is_refused(sets: dict[str, Path], tmp_path: Path) -> None:
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[..., 0] = 7
    write_png(tmp_path / "parse.png", colours)
    with pytest.raises(DataError, match="coloured pixels"):
        clothing_mask(replace(sample_of(sets, "vitonhd", "paired"), parse=tmp_path / "parse.png"))


def test_the_groups_of_vitonhd_cover_every_id_once() -> None:
    assert sorted(i for group in VITONHD_GROUPS.values() for i in group) == list(range(20))
    assert VITONHD_GROUPS["upper"] == garment_labels("vitonhd", "upper_body")


def test_schemes_have_the_published_numbers_of_labels() -> None:
    assert {name: len(names) for name, names in NAMES.items()} == {
        **{"lip": 20, "vitonhd": 20, "atr": 19, "gp-vton": 29, "acgpn": 14},
    }
    assert labels_named("lip", "jumpsuit") == {10} == labels_named("vitonhd", "torso skin")
    assert garment_labels("atr", "lower_body") == {5, 6}  # skirts too
    with pytest.raises(ConfigError, match="category 'shoes' is unknown"):
        garment_labels("atr", "shoes")


@pytest.mark.parametrize("fmt", ["vitonhd", "dresscode", "viton"])
def test_keypoints_of_every_layout_are_the_joints_that_were_drawn(sets: dict[str, Path], fmt: str) -> None:
    sample = sample_of(sets, fmt, "paired")
    assert sample.keypoints is not None
    figure = draw_actor(1, SIZE, 0).figure
    found = read_keypoints(sample.keypoints, SIZE)
    for index, name in enumerate(COCO18):
        joint = index if index < 8 else index + 1  # BODY_25 has a middle hip
        if joint in figure.hidden:
            assert np.isnan(found[index, :2]).all(), name
        else:
            np.testing.assert_allclose(found[index, :2], figure.joints[joint], atol=1e-3, err_msg=name)


def test_a_missing_joint_is_missing(tmp_path: Path) -> None:
    numbers = [10.0, 20.0, 0.9] * 18
    numbers[12:15] = [0, 0, 0]
    (tmp_path / "pose.json").write_text(json.dumps({"people": [{"pose_keypoints": numbers}]}))
    assert np.isnan(read_keypoints(tmp_path / "pose.json", (64, 48))[4, :2]).all()


def test_ootdiffusion_writes_two_numbers_a_joint_in_pixels(tmp_path: Path) -> None:
    (tmp_path / "pose.json").write_text(json.dumps({"keypoints": [[5.0, 6.0]] * 18}))
    assert read_keypoints(tmp_path / "pose.json", (64, 48))[0].tolist() == [5, 6, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "expected an object"),
        ("{", "not JSON"),
        ('{"people": []}', "no person in it"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "2 numbers; expected 75, 54"),
        ('{"keypoints": [["a"]]}', "no table of numbers"),
    ],
)
def test_damaged_keypoints_are_one_clear_line(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "pose.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_keypoints(tmp_path / "pose.json", (64, 48))
