"""Whatever is in a list, manifest or keypoint file, the answer is rows or one DataError: nothing else gets out."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tryon_bench._shared.errors import DataError, QuartetError
from tryon_bench.data.keypoints import read_keypoints
from tryon_bench.data.naming import template_of
from tryon_bench.data.open import open_dataset
from tryon_bench.data.pairs import read_pairs
from tryon_bench.data.stored import jpeg_quality

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)


@QUICK
@given(content=st.binary(max_size=200))
def test_any_bytes_as_a_pair_list(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with suppress(DataError):
        for pair in read_pairs(tmp_path / "list.txt"):
            assert "/" not in pair.person + pair.garment
            assert pair.person not in ("", ".", "..")


@QUICK
@given(keypoints=JSON, people=JSON)
def test_any_json_as_keypoints(keypoints: object, people: object, tmp_path: Path) -> None:
    for content in (
        {"keypoints": keypoints},
        {"people": people},
        {"people": [{"pose_keypoints_2d": people}]},
        people,
    ):
        (tmp_path / "pose.json").write_text(json.dumps(content))
        with suppress(DataError):
            assert read_keypoints(tmp_path / "pose.json", (64, 48)).shape == (18, 3)


@QUICK
@given(numbers=st.lists(st.floats(-1e6, 1e6), min_size=54, max_size=54))
def test_any_numbers_as_joints_are_in_place_or_missing(numbers: list[float], tmp_path: Path) -> None:
    (tmp_path / "pose.json").write_text(json.dumps({"people": [{"pose_keypoints": numbers}]}))
    points = read_keypoints(tmp_path / "pose.json", (64, 48))
    given_points = np.reshape(numbers, (18, 3))
    found = np.isfinite(points[:, 0])
    np.testing.assert_array_equal(points[found], given_points[found])
    assert (given_points[~found, :2] <= 0).all()


@QUICK
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["person", "garment", "parse", "setting"]), JSON), max_size=4)
)
def test_any_rows_as_a_manifest(rows: list[dict[str, object]], tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with suppress(QuartetError):
        for sample in open_dataset(tmp_path).samples:
            assert sample.person.resolve().is_relative_to(tmp_path.resolve())


@QUICK
@given(text=st.text(max_size=30))
def test_any_text_as_a_pattern(text: str) -> None:
    with suppress(QuartetError):
        assert "{" in template_of(text)


@given(table=st.lists(st.integers(1, 255), min_size=64, max_size=64))
def test_any_quantisation_table_has_a_quality(table: list[int]) -> None:
    assert 1 <= jpeg_quality(tuple(table)) <= 100


@pytest.mark.parametrize("name", ["../outside.png", "/absolute.png", "..\\up.png"])
def test_a_list_cannot_leave_its_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{name} b.png\n")
    assert read_pairs(tmp_path / "list.txt")[0].person in ("outside.png", "absolute.png", "up.png")
