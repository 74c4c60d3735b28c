"""What every layout has in common, and the traps of each, on files written in that layout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from breastmri._shared.errors import DataError
from breastmri.data.breastdcedl import chosen_phases
from breastmri.data.duke import open_duke
from breastmri.data.mama_mia import parse_times
from breastmri.data.manifest import read_manifest, write_manifest
from breastmri.data.odelia import phase_names
from breastmri.data.opening import open_data
from breastmri.data.reading import load_study
from breastmri.data.sheets import read_cells, write_sheet
from breastmri.synth import FORMATS, write_synthetic

from .conftest import Written

Make = Callable[[str], Written]


def truth_of(data: Written, study_id: str) -> dict:
    return data.truth.get(study_id) or data.truth[study_id.rpartition("_")[0]]


@pytest.mark.parametrize("layout", FORMATS)
def test_labels_are_those_of_the_phantoms(written: Make, layout: str) -> None:
    data = written(layout)
    for row in data.manifest.rows:
        truth = truth_of(data, row.study_id)
        if row.side == "bilateral":
            assert row.label == max(truth["labels"].values())
        elif row.label is not None:
            assert row.label == truth["labels"][row.side]
        if row.label3 is not None and row.side != "bilateral":
            assert row.label3 == truth["labels3"][row.side]


@pytest.mark.parametrize("layout", FORMATS)
def test_each_study_is_read_with_pre_contrast_first(written: Make, layout: str) -> None:
    data = written(layout)
    for study_id in list(data.manifest.studies())[:4]:
        study = load_study(data.manifest, study_id)
        assert study.phases.dtype == np.float32
        assert np.median(study.phases[1] - study.phases[0]) >= 0
        assert (study.phases[1:].mean((1, 2, 3)) > study.phases[0].mean()).all()


@pytest.mark.parametrize("layout", ["nifti", "mama-mia", "duke-dicom"])
def test_lesions_lie_where_they_were_planted(written: Make, layout: str) -> None:
    data = written(layout)
    tolerance = 4.5 if layout == "duke-dicom" else 1e-3  # a box's middle is not a mask's centroid
    found = 0
    for study_id in data.manifest.studies():
        study, truth = load_study(data.manifest, study_id), data.truth[study_id]
        if truth["center_mm"] is not None:
            found += 1
            assert np.linalg.norm(np.subtract(study.center_mm, truth["center_mm"])) < tolerance
            assert study.lesion_side == truth["lesion_side"]
    assert found >= 7


@pytest.mark.parametrize("layout", ["nifti", "mama-mia", "duke-dicom", "fastmri-dicom"])
def test_affines_are_right_to_a_hundredth_of_a_micrometre(written: Make, layout: str) -> None:
    data = written(layout)
    for study_id in list(data.manifest.studies())[:5]:
        study = load_study(data.manifest, study_id)
        assert np.abs(study.affine - data.truth[study_id]["affine"]).max() < 1e-5


@pytest.mark.parametrize("layout", ["nifti", "mama-mia", "duke-dicom", "fastmri-dicom"])
def test_times_are_those_of_the_acquisition(written: Make, layout: str) -> None:
    data = written(layout)
    for study_id in data.manifest.studies():
        study = load_study(data.manifest, study_id)
        assert study.times_s == pytest.approx(data.truth[study_id]["times_s"][: len(study.phases)])


@pytest.mark.parametrize("layout", FORMATS)
def test_the_same_seed_writes_the_same_truth(tmp_path: Path, written: Make, layout: str) -> None:
    write_synthetic(layout, tmp_path / "again", cases=2, seed=4)
    again = json.loads((tmp_path / "again" / "truth.json").read_text())["studies"][0]
    assert again["center_mm"] == next(iter(written(layout).truth.values()))["center_mm"]


@pytest.mark.parametrize("layout", FORMATS)
def test_a_study_takes_at_most_two_megabytes(written: Make, layout: str) -> None:
    data = written(layout)
    size = sum(p.stat().st_size for p in data.root.rglob("*") if p.is_file())
    assert size < 10 * 2e6


def test_a_folder_of_nothing_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a known data set"):
        open_data(tmp_path)


# our own table


def test_a_manifest_survives_writing_and_reading(written: Make, tmp_path: Path) -> None:
    rows = written("duke-dicom").manifest.rows
    write_manifest(written("duke-dicom").manifest, tmp_path)
    assert read_manifest(tmp_path).rows == rows


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("label", "2", "row 2, label"),
        ("label", "x", "expected a whole number"),
        ("phases", "a.nii", "expected JSON"),
        ("side", "middle", "row 2, side"),
        ("patient_id", "", "patient_id"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(tmp_path: Path, column: str, value: str, words: str) -> None:
    cells = {"study_id": "s", "patient_id": "p", "side": "left", "phases": '"[""a.nii""]"', "label": "1"}
    cells[column] = value
    (tmp_path / "manifest.csv").write_text(",".join(cells) + "\n" + ",".join(cells.values()) + "\n")
    with pytest.raises(DataError, match=words):
        read_manifest(tmp_path)


def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text('study_id,patient_id,side,phases\ns,p,left,"[""../x.nii""]"\n')
    with pytest.raises(DataError, match="inside the data folder"):
        load_study(read_manifest(tmp_path), "s")


# Duke


def test_duke_reads_flipped_rows_single_series_and_prefixed_folders(written: Make) -> None:
    studies = written("duke-dicom").manifest.studies()
    assert all("#" in p for p in studies["Breast_MRI_003"][0].phases)
    assert all("MR_" in p for p in studies["Breast_MRI_004"][0].phases)
    assert len({len(rows[0].phases) for rows in studies.values()}) == 1


def test_duke_leaves_out_patients_whose_other_breast_is_not_stated(written: Make) -> None:
    data = written("duke-dicom")
    assert "Breast_MRI_010" not in data.manifest.studies()
    assert "1 patients left out" in data.manifest.warnings[0]


def test_duke_boxes_follow_file_numbers_that_run_downwards(written: Make) -> None:
    data = written("duke-dicom")
    row = next(r for r in data.manifest.studies()["Breast_MRI_002"] if r.box_ijk)
    assert len(row.meta["box_slice_files"]) == 2
    study = load_study(data.manifest, "Breast_MRI_002")
    truth = data.truth["Breast_MRI_002"]
    assert abs(study.center_mm[2] - truth["center_mm"][2]) < 4


def test_duke_counts_rows_from_the_base_that_is_asked_for(written: Make) -> None:
    root = written("duke-dicom").root
    one, zero = open_duke(root, box_base=1), open_duke(root, box_base=0)
    a, b = (next(r.box_ijk for r in m.rows if r.box_ijk) for m in (one, zero))
    assert [x - y for x, y in zip(b, a, strict=True)] == [1, 1, 0, 1, 1, 0]


def test_duke_marks_both_breasts_where_disease_is_bilateral(written: Make, tmp_path: Path) -> None:
    root = tmp_path / "duke"
    shutil.copytree(written("duke-dicom").root, root)
    path = root / "Clinical_and_Other_Features.xlsx"
    cells = read_cells(path)
    cells[3][38] = "1"
    write_sheet(path, cells, sheet="Data")
    assert [r.label for r in open_data(root).studies()["Breast_MRI_001"]] == [1, 1]


def test_duke_finds_the_clinical_columns_by_place_where_names_are_missing(written: Make, tmp_path: Path) -> None:
    root = tmp_path / "duke"
    shutil.copytree(written("duke-dicom").root, root)
    path = root / "Clinical_and_Other_Features.xlsx"
    cells = read_cells(path)
    cells[1][36], cells[1][38] = "a", "b"
    write_sheet(path, cells, sheet="Data")
    assert [r.label for r in open_data(root).rows] == [r.label for r in written("duke-dicom").manifest.rows]


def test_duke_without_a_table_says_which(written: Make, tmp_path: Path) -> None:
    shutil.copy(written("duke-dicom").root / "Annotation_Boxes.xlsx", tmp_path)
    with pytest.raises(DataError, match="filepath_filename-mapping"):
        open_data(tmp_path)


# MAMA-MIA


def test_mama_mia_matches_names_whatever_their_case(written: Make) -> None:
    row = written("mama-mia").manifest.rows[0]
    assert row.phases[0].startswith("images/DUKE_001/duke_001_0000")


def test_mama_mia_turns_the_axes_of_breast_coordinates(written: Make) -> None:
    data = written("mama-mia")
    for rows in data.manifest.studies().values():
        row = next(r for r in rows if r.mask_path)
        study = load_study(data.manifest, row.study_id)
        index = np.linalg.solve(study.affine[:3, :3], np.subtract(study.center_mm, study.affine[:3, 3]))
        stored = np.array(study.shape[:2]) - 1 - index[:2]  # the files run to the left and to the back
        low, high = row.meta["breast_box_ijk"][:3], row.meta["breast_box_ijk"][3:]
        assert all(a <= v < b for a, v, b in zip(low, [*stored, index[2]], high, strict=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[0, 1, 2]", "3 acquisition times for 2"),
        ("[5, 5]", "do not grow"),
        ("[0, x]", "cannot be read"),
        ("7", "read"),
    ],
)
def test_mama_mia_never_guesses_times(text: str, words: str) -> None:
    times, warnings = parse_times(text, 2)
    assert times is None
    assert words in warnings[0]


def test_mama_mia_reads_splits_of_different_lengths(written: Make) -> None:
    splits = [rows[0].split for rows in written("mama-mia").manifest.studies().values()]
    assert (splits.count("train"), splits.count("test")) == (8, 2)


# ODELIA


def test_odelia_keeps_leading_zeros_of_patients(written: Make) -> None:
    for layout in ("odelia", "odelia-hub"):
        assert {row.patient_id for row in written(layout).manifest.rows} >= {"0001", "0010"}


def test_odelia_groups_both_breasts_of_a_patient(written: Make) -> None:
    rows = written("odelia").manifest.rows
    assert len({r.study_id for r in rows}) == 2 * len({r.patient_id for r in rows})


def test_odelia_takes_the_first_fold_of_several(written: Make) -> None:
    rows = written("odelia").manifest.rows
    assert {r.fold for r in rows} == {0}
    assert {r.split for r in rows} == {"train", "val", "test"}


def test_odelia_never_uses_the_stored_subtraction(written: Make) -> None:
    for layout in ("odelia", "odelia-hub"):
        assert not any("Sub" in p or "T2" in p for r in written(layout).manifest.rows for p in r.phases)


def test_odelia_orders_phases_by_number_and_needs_pre() -> None:
    assert phase_names(["Post_2", "Post_10", "Pre"]) == ["Pre", "Post_2", "Post_10"]
    with pytest.raises(DataError, match="no Pre"):
        phase_names(["Post_1"])


def test_odelia_on_disk_and_on_the_hub_are_the_same_studies(written: Make) -> None:
    disk, hub = written("odelia"), written("odelia-hub")
    for study_id in ("ODELIA_BRAID1_0001_1_left", "ODELIA_BRAID1_0004_1_right"):
        one, other = load_study(disk.manifest, study_id), load_study(hub.manifest, study_id)
        assert np.array_equal(one.phases, other.phases)
        assert np.allclose(one.affine, other.affine, atol=1e-4)
        assert (one.labels, one.sides) == (other.labels, other.sides)


def test_odelia_takes_single_breasts_where_the_hub_has_both_forms(written: Make, tmp_path: Path) -> None:
    source = written("odelia-hub").root / "unilateral"
    shutil.copytree(source, tmp_path / "unilateral")
    shutil.copytree(source, tmp_path / "default")
    paths = {p.partition("#")[0] for r in open_data(tmp_path).rows for p in r.phases}
    assert all(p.startswith("unilateral/") for p in paths)


def test_odelia_hidden_labels_stay_unknown(written: Make, tmp_path: Path) -> None:
    root = tmp_path / "odelia"
    shutil.copytree(written("odelia").root, root)
    table = root / "RUMC" / "metadata_unilateral" / "annotation.csv"
    lines = [line.rpartition(",")[0] for line in table.read_text().splitlines()]
    table.write_text("\n".join(lines) + "\n")
    assert {r.label for r in open_data(root).rows if r.site == "RUMC"} == {None}


def test_odelia_refuses_other_lesion_codes(written: Make, tmp_path: Path) -> None:
    root = tmp_path / "odelia"
    shutil.copytree(written("odelia").root, root)
    table = root / "UKA" / "metadata_unilateral" / "annotation.csv"
    table.write_text(table.read_text().replace(",2\n", ",3\n"))
    with pytest.raises(DataError, match="Lesion is '3'"):
        open_data(root)


def test_odelia_reads_the_bilateral_form(written: Make, tmp_path: Path) -> None:
    source = written("odelia").root
    uid = "ODELIA_BRAID1_0001_1"
    shutil.copytree(source / "RUMC" / "data_unilateral" / f"{uid}_left", tmp_path / "RUMC" / "data" / uid)
    meta = tmp_path / "RUMC" / "metadata"
    meta.mkdir()
    (meta / "annotation.csv").write_text(f"UID,PatientID,Age,Lesion_Left,Lesion_Right\n{uid},0001,40,2,0\n")
    rows = open_data(tmp_path).rows
    assert [(r.side, r.label, r.label3) for r in rows] == [("left", 1, 2), ("right", 0, 0)]


# BreastDCEDL


def test_breastdcedl_takes_sizes_from_the_table_and_not_from_the_identity(written: Make) -> None:
    data = written("breastdcedl")
    assert load_study(data.manifest, "ISPY2-550421").spacing_mm == pytest.approx((4, 4, 4.5))
    assert load_study(data.manifest, "Breast_MRI_010").spacing_mm == pytest.approx((1, 1, 4.5))


def test_breastdcedl_turns_slices_rows_columns(written: Make) -> None:
    data = written("breastdcedl")
    for study_id in ("ISPY2-550421", "Breast_MRI_010"):
        study, truth = load_study(data.manifest, study_id), data.truth[study_id]
        assert study.lesion_side == truth["lesion_side"]
        front = study.phases[0, :, -4:].mean()
        assert front < study.phases[0, :, :4].mean()  # air in front, muscle behind


def test_breastdcedl_codes_two_as_validation(written: Make) -> None:
    rows = written("breastdcedl").manifest.studies()
    table = (written("breastdcedl").root / "BreastDCEDL_metadata_min_crop.csv").read_text().splitlines()
    at = table[0].split(",").index("test")
    for line in table[1:]:
        cells = line.split(",")
        assert rows[cells[0]][0].split == {"0": "train", "1": "test", "2": "val"}[cells[at]]


def test_breastdcedl_records_a_missing_phase_index(written: Make) -> None:
    row = written("breastdcedl").manifest.studies()["ISPY2-550422"][0]
    assert "post_late is missing" in row.meta["warnings"][0]
    assert len(row.phases) == 3


def test_breastdcedl_falls_back_to_the_last_phase() -> None:
    assert chosen_phases({"pre": "0", "post_early": "9", "post_late": "3"}, [0, 1, 2, 3])[0] == [0, 1, 3]


def test_breastdcedl_uses_duke_boxes_for_256_columns_only(written: Make, tmp_path: Path) -> None:
    data = written("breastdcedl")
    assert any(r.box_ijk for r in data.manifest.studies()["Breast_MRI_010"])
    root = tmp_path / "b"
    shutil.copytree(data.root, root)
    table = root / "BreastDCEDL_metadata_min_crop.csv"
    table.write_text(table.read_text().replace("DUKE,256,", "DUKE,320,"))
    rows = open_data(root).studies()["Breast_MRI_010"]
    assert [(r.side, r.label, r.box_ijk) for r in rows] == [("bilateral", 1, None)]


def test_breastdcedl_says_that_the_orientation_is_assumed(written: Make) -> None:
    data = written("breastdcedl")
    assert any("orientation is not stored" in w for w in load_study(data.manifest, "ISPY2-550421").warnings)


# fastMRI


def test_fastmri_status_codes_are_remapped_and_empty_rows_dropped(written: Make) -> None:
    data = written("fastmri-dicom")
    assert len(data.manifest.studies()) == 10
    grades = {s: max(r.label3 for r in rows) for s, rows in data.manifest.studies().items()}
    expected = {s: max(t["labels3"].values()) for s, t in data.truth.items()}
    assert grades == expected
    assert set(grades.values()) == {0, 1, 2}


def test_fastmri_counts_sides_from_the_right(written: Make) -> None:
    data = written("fastmri-dicom")
    row = next(r for r in data.manifest.rows if r.label == 1)
    assert row.side == data.truth[row.study_id]["lesion_side"]


def test_fastmri_refuses_unknown_status(written: Make, tmp_path: Path) -> None:
    root = tmp_path / "f"
    shutil.copytree(written("fastmri-dicom").root, root)
    cells = read_cells(root / "breast_fastMRI_final.xlsx")
    cells[1][6] = "3"
    write_sheet(root / "breast_fastMRI_final.xlsx", cells)
    with pytest.raises(DataError, match="lesion status is '3'"):
        open_data(root)


# BreastDM


def test_breastdm_has_no_millimetres(written: Make) -> None:
    data = written("breastdm")
    study = load_study(data.manifest, next(iter(data.manifest.studies())))
    assert study.center_mm is None
    assert study.lesion_mask.any()
    assert study.meta["no_geometry"]


def test_breastdm_keeps_repeated_patients_in_training(written: Make) -> None:
    data = written("breastdm")
    assert data.manifest.studies()["BreaDM-Ma-1801"][0].split == "train"
    assert "1 patients of training are repeated" in data.manifest.warnings[0]


def test_breastdm_reads_the_class_from_the_name(written: Make) -> None:
    for row in written("breastdm").manifest.rows:
        assert row.label == ("-Ma-" in row.study_id)
