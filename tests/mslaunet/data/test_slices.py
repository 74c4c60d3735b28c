from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mslaunet._shared.errors import DataError
from mslaunet.config import DataConfig
from mslaunet.data.dataset import open_dataset
from mslaunet.data.slices import PreparedCase, prepare_cases, split_slices
from mslaunet.preprocess import plan_preprocessing
from mslaunet.synth import write_synthetic


def _cases(count: int, depth: int) -> list[PreparedCase]:
    mask = np.zeros((depth, 4, 4), np.uint8)
    return [PreparedCase(f"c{i}", "", mask[None].astype(np.float32), mask, f"c{i}") for i in range(count)]


def test_blocks_are_held_out_with_an_unused_slice_on_either_side() -> None:
    split = split_slices(_cases(1, 60), by="slices", fraction=0.2, block=4, seed=0)
    held_out = {z for _, z in split.validation}
    train = {z for _, z in split.train}
    assert held_out == {*range(8, 12), *range(28, 32), *range(48, 52)}
    assert not train & {z + d for z in held_out for d in (-1, 0, 1)}
    assert len(train) == 60 - len(held_out) - 6


def test_whole_cases_are_kept_apart_and_the_seed_decides_which() -> None:
    splits = [split_slices(_cases(10, 3), by="auto", fraction=0.2, block=4, seed=s) for s in range(5)]
    for split in splits:
        assert split.by == "cases"
        train, validation = ({c for c, _ in part} for part in (split.train, split.validation))
        assert not train & validation
        assert len(validation) == 2
    assert len({frozenset(split.validation) for split in splits}) > 1


def test_few_cases_are_split_by_slices() -> None:
    assert split_slices(_cases(2, 40), by="auto", fraction=0.2, block=4, seed=0).by == "slices"


def test_nothing_left_for_validation_is_refused() -> None:
    with pytest.raises(DataError, match="0 validation slices from 1 cases"):
        split_slices(_cases(1, 3), by="slices", fraction=0.2, block=8, seed=0)


def test_cases_are_prepared_once_and_then_read_from_the_cache(tmp_path: Path) -> None:
    write_synthetic("nnunet", tmp_path / "set", cases=2, slices=2)
    dataset = open_dataset(tmp_path / "set")
    plan = plan_preprocessing(dataset, DataConfig(root=tmp_path, pixel_mm=1.4))
    first = prepare_cases(dataset, plan, tmp_path / "cache", max_excluded_fraction=0, quiet=True)
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").iterdir()}
    again = prepare_cases(dataset, plan, tmp_path / "cache", max_excluded_fraction=0, quiet=True)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").iterdir()} == stamps
    assert first.cases[0].image.shape == (1, 2, 32, 37)
    assert np.array_equal(first.cases[1].image, again.cases[1].image)


@pytest.mark.parametrize("bad", ["ellipse_00", "ellipse_05"])
def test_one_corrupt_case_among_many_is_excluded_with_its_reason(tmp_path: Path, bad: str) -> None:
    write_synthetic("folders", tmp_path / "set", cases=21)
    (tmp_path / "set" / "images" / f"{bad}.png").write_bytes(b"<html>not found</html>")
    dataset = open_dataset(tmp_path / "set")
    plan = plan_preprocessing(dataset, DataConfig(root=tmp_path))
    prepared = prepare_cases(dataset, plan, tmp_path / "cache", max_excluded_fraction=0.05, quiet=True)
    assert len(prepared.cases) == 20
    assert f"{bad}.png" in prepared.excluded[bad]


def test_too_many_corrupt_cases_stop_the_run(tmp_path: Path) -> None:
    write_synthetic("folders", tmp_path / "set", cases=4)
    (tmp_path / "set" / "images" / "ellipse_03.png").write_bytes(b"")
    dataset = open_dataset(tmp_path / "set")
    plan = plan_preprocessing(dataset, DataConfig(root=tmp_path))
    with pytest.raises(DataError, match=r"1 of 4 training cases are unusable; the first: ellipse_03.png"):
        prepare_cases(dataset, plan, tmp_path / "cache", max_excluded_fraction=0.05, quiet=True)
