"""Folds by patient, the official lists, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import Result

from mslaunet._shared.errors import ConfigError, DataError
from mslaunet.config import Config
from mslaunet.data.dataset import Case, Dataset, open_dataset
from mslaunet.data.lists import official_split, read_names
from mslaunet.data.slices import PreparedCase, split_slices
from mslaunet.data.splits import (
    FILE_NAME,
    build_folds,
    chosen_fold,
    make_split,
    official_folds,
    require_disjoint,
    split_dataset,
)
from mslaunet.synth import write_synthetic

Run = Callable[..., Result]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=12, max_size=60), st.integers(2, 4), st.integers(0, 5))
def test_no_patient_is_parted_and_every_case_is_kept_once(patients: list[int], folds: int, seed: int) -> None:
    units = {f"c{i}": f"p{p}" for i, p in enumerate(patients)}
    if len(set(patients)) < folds:
        with pytest.raises(DataError, match=f"{folds} folds of {len(set(patients))} patients"):
            build_folds(units, dict.fromkeys(units, ""), folds=folds, seed=seed)
        return
    made = build_folds(units, {name: str(i % 3) for i, name in enumerate(units)}, folds=folds, seed=seed)
    assert Counter(name for fold in made for name in fold.val) == Counter(list(units))
    for fold in made:
        assert not {units[c] for c in fold.train} & {units[c] for c in fold.val}
        assert set(fold.train) | set(fold.val) == set(units)


def test_folds_depend_on_the_seed_and_on_nothing_else() -> None:
    units = {f"c{i}": f"p{i}" for i in range(20)}
    strata = dict.fromkeys(units, "")
    again = dict(reversed(units.items()))
    assert build_folds(units, strata, folds=4, seed=3) == build_folds(again, strata, folds=4, seed=3)
    assert build_folds(units, strata, folds=4, seed=3) != build_folds(units, strata, folds=4, seed=4)


def test_what_is_rare_is_as_frequent_in_every_fold() -> None:
    units = {f"c{i}": f"p{i}" for i in range(40)}
    strata = {name: "rare" if i < 8 else "usual" for i, name in enumerate(units)}
    for seed in range(5):
        for fold in build_folds(units, strata, folds=4, seed=seed):
            assert sum(strata[name] == "rare" for name in fold.val) == 2


def test_strata_are_the_rarest_class_or_the_size_of_the_foreground(tmp_path: Path) -> None:
    from mslaunet._shared.io.images import write_png

    for i in range(12):
        mask = np.zeros((16, 16), np.uint8)
        mask[0, 0] = 1
        if i < 4:
            mask[: 8 + i, 4:] = 2
        write_png(tmp_path / "images" / f"{i:02d}.png", np.full((16, 16), 9 * i, np.uint8))
        write_png(tmp_path / "masks" / f"{i:02d}.png", mask)
    dataset = open_dataset(tmp_path, classes={0: "background", 1: "a", 2: "b"})
    for stratify in ("labels", "foreground"):
        folds = split_dataset(dataset, folds=4, seed=1, stratify=stratify)  # type: ignore[arg-type]
        assert [sum(name < "04" for name in fold.val) for fold in folds] == [1, 1, 1, 1]


def _prepared(*patients: str) -> list[PreparedCase]:
    mask = np.zeros((2, 4, 4), np.uint8)
    return [PreparedCase(f"c{i}", "", mask[None], mask, patient) for i, patient in enumerate(patients)]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    write_synthetic("clinicdb-original", tmp_path / "set", cases=9)
    return tmp_path / "set"


def test_training_uses_the_folds_in_the_folder(frames: Path, tmp_path: Path) -> None:
    from mslaunet.train import prepare_training

    made = make_split(frames, folds=3, seed=0)
    for number, fold in enumerate(made.folds):
        config = Config(data={"root": frames, "side_px": 64, "fold": number})
        data = prepare_training(open_dataset(frames), config, tmp_path / "cache", quiet=True)
        kept = {data.cases.cases[c].case_id for c, _ in data.split.validation}
        assert (data.split.by, kept) == ("file", set(fold.val))


def test_a_fold_that_is_not_there_is_named(frames: Path) -> None:
    dataset = open_dataset(frames)
    assert chosen_fold(dataset, "auto", 0) is None
    with pytest.raises(ConfigError, match=r"data\.fold 0: the data set brings 0 folds"):
        chosen_fold(dataset, "file", 0)
    make_split(frames, folds=2)
    with pytest.raises(ConfigError, match=r"data\.fold 2: the data set brings 2 folds"):
        chosen_fold(open_dataset(frames), "auto", 2)


def test_an_unreadable_case_of_a_fold_is_left_out_and_an_empty_side_refused() -> None:
    from mslaunet.data.dataset import Fold

    options = {"by": "auto", "fraction": 0.2, "block": 4, "seed": 0}
    split = split_slices(_prepared("a", "b"), given=Fold(("c0", "gone"), ("c1",)), **options)  # type: ignore[arg-type]
    assert split.train == ((0, 0), (0, 1))
    with pytest.raises(DataError, match="2 training and 0 validation slices"):
        split_slices(_prepared("a", "b"), given=Fold(("c0",), ("gone",)), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "expected a list of"),
        ("not json", "expected a list of"),
        ('[{"train": ["1"], "val": ["nobody"]}]', "fold 0 names 'nobody', which is no training case"),
        ('[{"train": ["1", "2"], "val": ["2"]}]', "fold 0 needs cases in train and in val, and none in both"),
        ('[{"train": ["1"], "val": []}]', "fold 0 needs cases"),
        ('[{"train": ["1"], "test": ["2"]}]', "expected a list of"),
    ],
)
def test_a_damaged_split_file_is_refused(frames: Path, content: str, message: str) -> None:
    (frames / FILE_NAME).write_text(content)
    with pytest.raises(DataError, match=f"{FILE_NAME}: {message}"):
        open_dataset(frames)


def test_a_split_file_that_parts_a_video_is_refused_unless_allowed(frames: Path) -> None:
    (frames / FILE_NAME).write_text(json.dumps([{"train": ["1", "4"], "val": ["2"]}]))
    with pytest.raises(DataError, match="1 patients or sequences are on both sides of fold 0"):
        open_dataset(frames)
    assert len(open_dataset(frames, overlap="allow").folds) == 1


def test_official_lists_are_those_of_the_papers_code() -> None:
    synapse, clinicdb = official_split("synapse"), official_split("clinicdb")
    assert (len(synapse.train), len(synapse.test), len(clinicdb.train), len(clinicdb.test)) == (18, 12, 551, 61)
    assert not synapse.train & synapse.test
    assert clinicdb.train | clinicdb.test == {str(i) for i in range(1, 613)}
    assert {"case0005", "case0040"} <= synapse.train
    assert {"case0008", "case0035"} <= synapse.test
    assert {"19", "573"} <= clinicdb.test
    assert "no validation part" in synapse.warning
    assert "every sequence of its 61 test frames also occurs in training" in clinicdb.warning
    with pytest.raises(ConfigError, match="no official split 'acdc'; choose one of synapse, clinicdb"):
        official_split("acdc")


def test_the_official_split_of_btcv_is_one_fold_with_its_warning(tmp_path: Path) -> None:
    write_synthetic("btcv", tmp_path / "set", cases=40, side_px=16, slices=1)
    made = make_split(tmp_path / "set", official="synapse")
    assert (len(made.folds[0].train), len(made.folds[0].val)) == (18, 12)
    assert "no validation part" in made.warnings[0]
    few = shutil.copytree(tmp_path / "set", tmp_path / "few")
    (few / "Training/img/img0005.nii.gz").unlink()
    with pytest.raises(DataError, match="1 of 30 cases of the official split synapse are no training cases here"):
        make_split(few, official="synapse")


def test_t9_the_official_split_of_clinicdb_leaks_and_is_refused_unless_allowed(tmp_path: Path) -> None:
    names = [str(i) for i in range(1, 613)]
    cases = tuple(Case(name, (tmp_path / name,), patient_id=f"video {int(name) % 27}") for name in names)
    dataset = Dataset(tmp_path, "clinicdb", {0: "background", 1: "polyp"}, ("red", "green", "blue"), cases)
    fold, warning = official_folds(dataset, "clinicdb")
    assert (len(fold.train), len(fold.val)) == (551, 61)
    assert "group by sequence instead" in warning
    leaking = replace(dataset, folds=(fold,))
    with pytest.raises(DataError, match="patients or sequences are on both sides of fold 0"):
        require_disjoint(leaking, "refuse")
    require_disjoint(leaking, "allow")


def test_a_refused_split_writes_nothing_and_an_old_one_does_not_matter(frames: Path) -> None:
    (frames / FILE_NAME).write_text("damaged")
    with pytest.raises(DataError, match="4 folds of 3 patients"):
        make_split(frames, folds=4)
    assert (frames / FILE_NAME).read_text() == "damaged"
    assert len(make_split(frames, folds=3).folds) == 3


def test_t10_the_official_folds_ignore_videos_and_only_the_first_is_trained() -> None:
    """551 frames in five parts by name: 440 for training, 111 for validation; `data.group` "case" asks for it."""
    cases = _prepared(*(f"video {i % 27}" for i in range(551)))
    options = {"by": "cases", "fraction": 0.2, "block": 4, "seed": 0, "folds": 5, "fold": 0}
    split = split_slices(cases, group="case", **options)  # type: ignore[arg-type]
    train, val = ({c for c, _ in part} for part in (split.train, split.validation))
    assert (len(train), len(val)) == (440, 111)
    assert {cases[c].patient_id for c in train} & {cases[c].patient_id for c in val}
    sound = split_slices(cases, group="patient", **options)  # type: ignore[arg-type]
    train, val = ({c for c, _ in part} for part in (sound.train, sound.validation))
    assert not {cases[c].patient_id for c in train} & {cases[c].patient_id for c in val}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n\n", "empty"),
        (b"a\na\n", "1 names are there twice"),
        (b"a\n../b\n", "entry 2 is a path"),
        (b"\xff\xfe\x00", "not readable as text"),
    ],
)
def test_lists_that_are_no_lists_of_names_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(DataError, match=rf"train\.txt: {message}"):
        read_names(tmp_path / "train.txt")


def test_the_command_writes_folds_that_nnunet_reads(frames: Path, run_cli: Run) -> None:
    result = run_cli("split", frames, "--folds", 3, "--seed", 2, "--json")
    assert result.exit_code == 0, result.stderr
    assert [set(row) for row in json.loads((frames / FILE_NAME).read_text())] == [{"train", "val"}] * 3
    assert json.loads(result.stdout)["folds"] == [{"train": 6, "val": 3}] * 3
    assert run_cli("split", frames, "--folds", 4).exit_code == 3
