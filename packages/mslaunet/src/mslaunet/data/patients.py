"""Which cases are of one patient: the optional `patients.csv` (case_id, patient_id) of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from .._shared.errors import DataError
from .._shared.io.tables import read_table
from .dataset import Case, Dataset

FILE_NAME = "patients.csv"


def read_patients(root: Path) -> dict[str, str] | None:
    """Case id to a pseudonym ("patient 1", "patient 2", ... as they appear); None without a `patients.csv`.

    The ids of the table stay in this function, so that no output can hold them.

    Raises:
        DataError: the table is damaged, repeats a case or leaves a patient empty.
    """
    if not (root / FILE_NAME).is_file():
        return None
    rows = read_table(root / FILE_NAME, required=["patient_id"], key="case_id")
    patients = {row["case_id"].strip(): row["patient_id"].strip() for row in rows}
    if nameless := sum(not patient for patient in patients.values()):
        raise DataError(f"{FILE_NAME}: {nameless} of {len(patients)} cases have no patient_id; fill it in")
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(patients.values()), start=1)}
    return {case_id: f"patient {numbers[patient]}" for case_id, patient in patients.items()}


def require_listed(case_ids: set[str], patients: dict[str, str]) -> None:
    """Check that the table tells the patient of every case.

    Raises:
        DataError: with the number of cases that it leaves out.
    """
    if missing := len(case_ids - patients.keys()):
        raise DataError(
            f"{FILE_NAME}: {missing} of {len(case_ids)} cases are not listed; give each one a line, or remove the file"
        )


def assign_patients(dataset: Dataset, overlap: Literal["refuse", "allow"] = "refuse") -> Dataset:
    """Give the cases the patients of `patients.csv`; without one, those of the layout, under pseudonyms.

    Raises:
        DataError: the table is damaged, lists unknown cases or not all of them, or a patient has cases for training
            and for testing and `overlap` is "refuse". Messages give numbers, never ids.
    """
    everyone = (*dataset.training, *dataset.testing)
    patients = read_patients(dataset.root)
    if patients is None:
        return _with_patients(dataset, _pseudonyms(everyone))
    known = {case.case_id for case in everyone}
    if unknown := len(patients.keys() - known):
        raise DataError(
            f"{FILE_NAME}: {unknown} of {len(patients)} lines name no case of the data set; case_id is the file name "
            "without channel number and suffix"
        )
    require_listed(known, patients)
    dataset = _with_patients(dataset, patients)
    shared = {case.patient_id for case in dataset.training} & {case.patient_id for case in dataset.testing}
    if shared and overlap == "refuse":
        cases = sum(case.patient_id in shared for case in dataset.testing)
        raise DataError(
            f"{FILE_NAME}: {len(shared)} patients have cases for training and {cases} for testing (imagesTr/ and "
            "imagesTs/); scores would not be of unseen patients, so keep each on one side"
        )
    return dataset


def _pseudonyms(cases: Sequence[Case]) -> dict[str, str]:
    """Case id to "patient n", where the layout itself knows patients; a case alone keeps its name."""
    numbers = {name: n for n, name in enumerate(dict.fromkeys(case.patient_id for case in cases), start=1)}
    return {
        case.case_id: case.case_id if case.patient_id == case.case_id else f"patient {numbers[case.patient_id]}"
        for case in cases
    }


def _with_patients(dataset: Dataset, patients: Mapping[str, str]) -> Dataset:
    def named(cases: tuple[Case, ...]) -> tuple[Case, ...]:
        return tuple(replace(case, patient_id=patients[case.case_id]) for case in cases)

    return replace(dataset, training=named(dataset.training), testing=named(dataset.testing))
