"""`patients.csv`: all cases of a patient on one side, and intervals over patients."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mslaunet._shared.errors import DataError
from mslaunet.data.dataset import open_dataset
from mslaunet.data.slices import PreparedCase, split_slices
from mslaunet.evaluate import class_mean, evaluate_folders

IDS = [f"disc_{i:02d}" for i in range(6)]


@pytest.fixture
def scans(volumes: Path, tmp_path: Path) -> Path:
    return shutil.copytree(volumes, tmp_path / "set")


def _list(root: Path, *patients: str, cases: list[str] = IDS) -> None:
    lines = [f"{case},{patient}" for case, patient in zip(cases, patients, strict=True)]
    (root / "patients.csv").write_text("\n".join(["case_id,patient_id", *lines]))


def _masks(*patients: str) -> list[PreparedCase]:
    mask = np.zeros((20, 4, 4), np.uint8)
    return [PreparedCase(f"c{i}", "", mask[None], mask, patient) for i, patient in enumerate(patients)]


def test_without_a_table_each_case_is_a_patient(scans: Path) -> None:
    assert [case.patient_id for case in open_dataset(scans).training] == IDS


def test_cases_of_one_patient_share_a_pseudonym_that_is_not_the_id(scans: Path) -> None:
    _list(scans, "Doe", "Roe", "Doe", "Roe", "Doe", "Poe")
    found = [case.patient_id for case in open_dataset(scans).training]
    assert found == ["patient 1", "patient 2", "patient 1", "patient 2", "patient 1", "patient 3"]


@pytest.mark.parametrize("seed", range(8))
def test_a_split_by_cases_never_parts_a_patient(seed: int) -> None:
    cases = _masks(*(f"p{i % 5}" for i in range(13)))
    split = split_slices(cases, by="auto", fraction=0.4, block=4, seed=seed)
    train, validation = ({cases[c].patient_id for c, _ in part} for part in (split.train, split.validation))
    assert split.by == "cases"
    assert not train & validation
    assert (len(train), len(validation)) == (3, 2)


def test_many_cases_of_few_patients_are_not_split_by_cases_unasked() -> None:
    assert split_slices(_masks(*"aaaabbbb"), by="auto", fraction=0.3, block=4, seed=0).by == "slices"


def test_one_patient_cannot_be_split_by_cases() -> None:
    with pytest.raises(DataError, match=r"split by cases: 0 training .* 6 cases of 1 patients"):
        split_slices(_masks(*"aaaaaa"), by="cases", fraction=0.2, block=4, seed=0)


def test_training_splits_by_the_patients_of_the_table(scans: Path) -> None:
    from mslaunet.config import Config
    from mslaunet.train import prepare_training

    _list(scans, "a", "a", "a", "b", "b", "b")
    config = Config(data={"root": scans, "split": "cases", "side_px": 64})
    split = prepare_training(open_dataset(scans), config, scans / "cache", quiet=True).split
    assert {c for c, _ in split.validation} in ({0, 1, 2}, {3, 4, 5})


def test_a_patient_in_training_and_testing_is_refused_by_numbers(scans: Path) -> None:
    shutil.copytree(scans / "imagesTr", scans / "imagesTs")
    for path in (scans / "imagesTs").iterdir():
        path.rename(path.with_name(path.name.replace("disc", "test")))
    cases = IDS + [name.replace("disc", "test") for name in IDS]
    _list(scans, *"abcdef", *"axxbby", cases=cases)
    with pytest.raises(DataError, match=r"2 patients .* and 3 for testing") as caught:
        open_dataset(scans)
    assert "disc" not in str(caught.value)
    _list(scans, *"abcdef", *"uvwxyz", cases=cases)
    assert len(open_dataset(scans).testing) == 6


@pytest.mark.parametrize(
    ("cases", "patients", "message"),
    [
        ([*IDS, "other"], "abcdefg", r"1 of 7 lines name no case"),
        (IDS[:4], "abcd", r"2 of 6 cases are not listed"),
        ([*IDS, IDS[0]], "abcdefa", r"line 8 repeats the case_id of line 2"),
        (IDS, ["", "b", "c", "d", "e", " "], r"2 of 6 cases have no patient_id"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(scans: Path, cases: list[str], patients: str, message: str) -> None:
    _list(scans, *patients, cases=cases)
    with pytest.raises(DataError, match=rf"patients.csv: {message}"):
        open_dataset(scans)


def test_plain_folders_take_the_table_too(images: Path, tmp_path: Path) -> None:
    root = shutil.copytree(images, tmp_path / "set")
    _list(root, *"aabbcc", cases=[f"ellipse_{i:02d}" for i in range(6)])
    assert len({case.patient_id for case in open_dataset(root).training}) == 3


def test_intervals_resample_the_patients_of_the_table(scans: Path, tmp_path: Path) -> None:
    labels = scans / "labelsTr"
    predicted = shutil.copytree(labels, tmp_path / "predicted")
    _list(scans, *"aaabbb")
    assert class_mean(evaluate_folders(labels, predicted, quiet=True), "dice").n_patients == 2
    (scans / "patients.csv").unlink()
    assert class_mean(evaluate_folders(labels, predicted, quiet=True), "dice").n_patients == 6


def test_a_table_may_list_more_than_is_scored_but_not_less(scans: Path) -> None:
    _list(scans, *"abcdefg", cases=[*IDS, "scored_elsewhere"])
    evaluate_folders(scans / "labelsTr", scans / "labelsTr", quiet=True)
    _list(scans, *"ab", cases=IDS[:2])
    with pytest.raises(DataError, match="4 of 6 cases are not listed"):
        evaluate_folders(scans / "labelsTr", scans / "labelsTr", quiet=True)


def test_ids_of_the_table_stay_out_of_the_scores(
    scans: Path, tmp_path: Path, run_cli: Callable[..., Result]
) -> None:
    _list(scans, *["Canary"] * 3, *["Doe"] * 3)
    out = tmp_path / "scores"
    result = run_cli("evaluate", scans / "labelsTr", scans / "labelsTr", "--run-dir", out, "--json")
    assert {row["patient_id"] for row in json.loads(result.stdout)["cases"]} == {"patient 1", "patient 2"}
    written = "".join(path.read_text() for path in out.iterdir())
    assert "Canary" not in written + result.stdout + result.stderr
