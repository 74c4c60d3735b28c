"""The doctor finds what it is for, and nothing in a sound data set; no message names a patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from breastmri._shared.io.volumes import new_volume, read_volume, write_volume
from breastmri.data.manifest import Manifest, Row, label_row
from breastmri.data.opening import open_data
from breastmri.doctor import Finding, examine
from breastmri.synth import FORMATS, write_synthetic


@pytest.fixture
def plain(tmp_path: Path) -> Manifest:
    write_synthetic("nifti", tmp_path / "data", cases=6)
    return open_data(tmp_path / "data")


def changed(manifest: Manifest, change: Callable[[int, Row], dict]) -> Manifest:
    return replace(manifest, rows=tuple(label_row(row, **change(i, row)) for i, row in enumerate(manifest.rows)))


def findings(manifest: Manifest) -> dict[str, Finding]:
    return {one.check: one for one in examine(manifest, quiet=True) if one.level == "finding"}


@pytest.mark.parametrize("layout", FORMATS)
def test_sound_data_of_every_layout_have_no_finding(tmp_path: Path, layout: str) -> None:
    write_synthetic(layout, tmp_path / "data", cases=4)
    assert findings(open_data(tmp_path / "data")) == {}


def test_phases_in_the_wrong_order(plain: Manifest) -> None:
    found = findings(changed(plain, lambda i, row: {"phases": row.phases[::-1]} if i < 2 else {}))
    assert (found["phase order"].count, set(found)) == (1, {"phase order"})


def test_a_patient_in_two_splits(plain: Manifest) -> None:
    found = findings(changed(plain, lambda i, row: {"split": "test" if i == 0 else "train"}))
    assert found["leakage"].count == 1


def test_the_same_images_under_two_names(plain: Manifest) -> None:
    first = plain.rows[0].phases
    found = findings(changed(plain, lambda i, row: {"phases": first, "mask_path": None} if i in (2, 3) else {}))
    assert "shared by several patients" in found["leakage"].message


def test_label_and_site_that_depend_on_each_other(plain: Manifest) -> None:
    rows = [
        label_row(r, study_id=f"{r.study_id}{k}", site="a" if r.label else "b") for r in plain.rows for k in "123"
    ]
    found = [
        one for one in examine(replace(plain, rows=tuple(rows)), limit=1, quiet=True) if one.level == "finding"
    ]
    assert [one.check for one in found] == ["confounding"]
    assert "Cramer's V 1.00" in found[0].message


def test_labels_of_one_class(plain: Manifest) -> None:
    assert "one class" in findings(changed(plain, lambda i, row: {"label": 0}))["labels"].message


@pytest.mark.parametrize(
    ("factor", "words"), [(1 / 60, "in minutes"), (1000, "in milliseconds")], ids=["minutes", "milliseconds"]
)
def test_times_in_another_unit(plain: Manifest, factor: float, words: str) -> None:
    found = findings(changed(plain, lambda i, row: {"times_s": tuple(t * factor for t in row.times_s)}))
    assert words in found["times"].message
    assert found["times"].count == 6


def test_times_that_do_not_grow(plain: Manifest) -> None:
    found = findings(changed(plain, lambda i, row: {"times_s": (0, 90, 90, 180, 270, 360)}))
    assert "do not grow" in found["times"].message


def test_a_breast_without_tissue(plain: Manifest) -> None:
    for text in plain.rows[0].phases:
        volume = read_volume(plain.path(text))
        array = volume.array.copy()
        array[:34] = np.random.default_rng(0).integers(0, 6, array[:34].shape)  # only air where one breast was
        write_volume(plain.path(text), array, like=volume, dtype=np.uint16)
    found = findings(plain)
    assert found["breasts"].count >= 1


def test_a_study_that_cannot_be_read(plain: Manifest) -> None:
    plain.path(plain.rows[0].phases[2]).write_bytes(b"nothing")
    found = findings(plain)["files"]
    assert (found.count, "phase_2.nii.gz" in found.message) == (1, True)


def test_slices_cut_in_several_directions(plain: Manifest) -> None:
    for text in plain.rows[0].phases:
        volume = read_volume(plain.path(text))
        other = new_volume(volume.array, np.diag([9.0, 4.0, 4.0, 1.0]))  # sagittal slices
        write_volume(plain.path(text), other.array, like=other, dtype=np.uint16)
    manifest = changed(plain, lambda i, row: {"mask_path": None} if i < 2 else {})
    assert "several directions" in findings(manifest)["orientation"].message


def test_no_message_names_a_patient(plain: Manifest) -> None:
    manifest = changed(plain, lambda i, row: {"patient_id": f"CANARY{i // 2}", "phases": row.phases[::-1]})
    text = " ".join(one.message for one in examine(manifest, quiet=True))
    assert "CANARY" not in text
    assert "phantom_" not in text
