"""Whole patients on one side, whatever the folds are made by."""

from __future__ import annotations

import pytest

from breastmri._shared.errors import ConfigError, DataError
from breastmri.splits import make_folds, site_folds, training_split


def facts(patients=20, **more):
    """Two breasts a patient, the left one malignant in every second patient."""
    return [
        {"patient_id": f"p{p}", "label": int(side == 0 and p % 2), "split": "", "site": f"s{p % 3}", "fold": p % 4}
        | more
        for p in range(patients)
        for side in (0, 1)
    ]


def patients(rows, numbers):
    return {rows[i]["patient_id"] for i in numbers}


@pytest.mark.parametrize("by", ["patients", "folds", "site"])
def test_no_patient_is_on_both_sides_and_everyone_is_held_out_once(by):
    rows = facts()
    folds = make_folds(rows, by, 5, seed=0)
    for fold in folds:
        assert not patients(rows, fold.train) & patients(rows, fold.held_out)
    assert sorted(i for fold in folds for i in fold.held_out) == list(range(len(rows)))


def test_a_patient_of_two_sites_is_trained_on_at_neither():
    rows = facts()
    rows[1]["site"] = "s1"  # the second breast of a patient of s0
    first = next(f for f in site_folds(rows) if f.name == "site s0")
    assert 1 not in first.train


def test_drawn_validation_has_about_the_fraction_and_both_classes():
    rows = facts(40)
    split = training_split(rows, 0.25, seed=0)
    assert len(split.held_out) == 20
    assert {rows[i]["label"] for i in split.held_out} == {0, 1}
    assert training_split(rows, 0.25, seed=0) == split
    assert training_split(rows, 0.25, seed=1) != split


def test_given_splits_are_used_and_test_breasts_kept_out():
    rows = facts()
    for i, row in enumerate(rows):
        row["split"] = "test" if i < 4 else "val" if i < 10 else "train"
    split = training_split(rows, 0.2, seed=0)
    assert (split.name, split.held_out, split.train[0]) == ("given", list(range(4, 10)), 10)


def test_leaks_and_too_few_patients_are_refused():
    rows = facts()
    rows[0]["split"], rows[1]["split"] = "train", "val"
    with pytest.raises(DataError, match="1 of 20 are in several"):
        training_split(rows, 0.2, seed=0)
    with pytest.raises(DataError, match="at least 5 patients with a malignant breast for 5 folds, got 3"):
        make_folds(facts(6), "patients", 5, 0)
    with pytest.raises(DataError, match="at least 2 sites"):
        make_folds(facts(site="only"), "site", 5, 0)
    with pytest.raises(DataError, match="40 of 40 have none"):
        make_folds(facts(fold=None), "folds", 5, 0)
    with pytest.raises(ConfigError, match="expected folds by patients, folds or site"):
        make_folds(facts(), "hospital", 5, 0)
