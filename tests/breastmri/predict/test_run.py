"""One examination in, a folder of results on its own grid out; nothing silent, nobody named."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.breastmri.predict_model import tiny_model

from breastmri._shared.errors import ConfigError, DataError
from breastmri._shared.io.dicom_write import synthetic_uid
from breastmri._shared.io.volumes import new_volume, read_volume, require_same_grid, write_volume
from breastmri.classifier import Classifier
from breastmri.data.study import Study, mirrored
from breastmri.phantom import PhantomConfig, make_phantom
from breastmri.predict.documents import STAMP, lps, odelia_document
from breastmri.predict.examination import nifti_phases, open_examination, parse_times
from breastmri.predict.findings import predict_study
from breastmri.predict.run import Written, predict_examination
from breastmri.synth.cohort import write_nifti
from breastmri.synth.dicom_layouts import write_dicom_phase, write_dicom_study

CANARY = "CANARY^JANE"
STUDY = make_phantom(1, config=PhantomConfig(size=(64, 40, 13)), kind="malignant", side="right").study


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return tiny_model(tmp_path_factory.mktemp("model") / "run")


@pytest.fixture(scope="module")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study as DICOM, whose headers name a patient."""
    folder = tmp_path_factory.mktemp("dicom")
    named = {
        "PatientName": CANARY,
        "PatientID": CANARY,
        "PatientBirthDate": "19010203",
        "StudyDescription": CANARY,
    }
    write_dicom_study(folder, STUDY, elements={**named, "SeriesDescription": CANARY})
    return folder


@pytest.fixture(scope="module")
def written(model: Classifier, dicom: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return predict_examination(model, open_examination(dicom), tmp_path_factory.mktemp("out"))


def write_phases(folder: Path, study: Study = STUDY) -> Path:
    for k, phase in enumerate(study.phases):
        write_nifti(folder / f"phase_{k}.nii.gz", phase, study.affine)
    return folder


def test_everything_that_is_promised_is_written(written: Written) -> None:
    assert set(written.files) == {
        "prob.json",
        "coam.nii.gz",
        "contribution.nii.gz",
        *(f"kinetics_{name}.nii.gz" for name in ("pe", "ser", "ttp_s", "washout_per_min", "type")),
        "candidates.json",
        "candidates.mrk.json",
        *(f"mip_{view}.png" for view in ("axial", "coronal", "sagittal")),
        "report.html",
    }
    assert {p.name for p in written.folder.iterdir()} == set(written.files)


def test_maps_lie_on_the_grid_of_the_dicom_series(written: Written, dicom: Path) -> None:
    grid = open_examination(dicom).grid
    for name in written.files:
        if name.endswith(".nii.gz"):
            require_same_grid(grid, read_volume(written.folder / name))


def test_simpleitk_places_the_maps_where_the_dicom_slices_are(written: Written, dicom: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    series = next(p for p in dicom.iterdir() if p.name == "series_0")
    image = sitk.ReadImage(sorted(str(p) for p in series.iterdir()))
    coam = sitk.ReadImage(str(written.folder / "coam.nii.gz"))
    for index in ((0, 0, 0), (10, 20, 5), (63, 39, 12)):
        place = image.TransformIndexToPhysicalPoint(index)
        assert np.allclose(coam.TransformIndexToPhysicalPoint(index), place, atol=1e-4)


def test_candidates_are_given_in_both_conventions(written: Written) -> None:
    document = json.loads((written.folder / "candidates.json").read_text())
    marks = json.loads((written.folder / "candidates.mrk.json").read_text())["markups"][0]
    assert (marks["coordinateSystem"], marks["coordinateUnits"]) == ("LPS", "mm")
    for candidate, point in zip(document["candidates"], marks["controlPoints"], strict=True):
        assert candidate["lps_mm"] == lps(candidate["ras_mm"]) == point["position"]
    assert {c["side"] for c in document["candidates"]} == {"left", "right"}
    assert all(c["kinetics"]["curve"][0] == 0 for c in document["candidates"] if c["kinetics"])


def test_the_voxel_of_a_candidate_is_that_of_the_file(written: Written) -> None:
    volume = read_volume(written.folder / "coam.nii.gz")
    for candidate in json.loads((written.folder / "candidates.json").read_text())["candidates"]:
        place = volume.source.affine @ (*candidate["file_voxel"], 1)
        assert np.allclose(place[:3], candidate["ras_mm"], atol=0.1)


def test_nobody_is_named_in_any_output(written: Written) -> None:
    for path in written.folder.iterdir():
        data = path.read_bytes()
        data += gzip.decompress(data) if path.suffix == ".gz" else b""
        assert b"CANARY" not in data
        assert b"JANE" not in data
        assert b"19010203" not in data


def test_a_label_is_written_only_where_it_is_asked_for(model: Classifier, dicom: Path, tmp_path: Path) -> None:
    out = predict_examination(model, open_examination(dicom), tmp_path / "out", label="case <7>").folder
    assert json.loads((out / "prob.json").read_text())["label"] == "case <7>"
    assert "case &lt;7&gt;" in (out / "report.html").read_text()


def test_a_model_of_phantoms_stamps_every_output(written: Written) -> None:
    for name in ("prob.json", "candidates.json", "candidates.mrk.json", "report.html"):
        assert STAMP in (written.folder / name).read_text()
    for path in written.folder.glob("*.nii.gz"):
        assert b"not for patients" in gzip.decompress(path.read_bytes())[148:228]


def test_another_model_says_that_it_is_no_medical_device(dicom: Path, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "run", phantom=False)
    document = predict_examination(other, open_examination(dicom), tmp_path / "out").document
    assert document["notice"] == "research software, no medical device"


def test_a_linear_head_has_no_contribution_map_and_says_so(dicom: Path, tmp_path: Path) -> None:
    linear = tiny_model(tmp_path / "run", recipe="claims-bce")
    found = predict_examination(linear, open_examination(dicom), tmp_path / "out")
    assert "contribution.nii.gz" not in found.files
    assert found.document["contribution"] is False


def test_contributions_add_up_to_the_cosine(model: Classifier) -> None:
    from breastmri.localize import locate
    from breastmri.preprocess import breast_inputs

    inputs = breast_inputs(STUDY, model.plan)
    maps = locate(model, inputs, "contribution", flips=1)
    assert [float(m.cells.sum()) for m in maps] == pytest.approx(model.scores(inputs).tolist(), abs=1e-5)


def test_mirroring_a_study_swaps_the_scores_of_its_breasts(model: Classifier) -> None:
    study = replace(STUDY, breast_mask=None)
    one, other = (predict_study(model, s).breasts for s in (study, mirrored(study)))
    assert [b.side for b in one] == ["left", "right"]
    assert one[0].score == pytest.approx(other[1].score, abs=1e-5)
    assert one[1].score == pytest.approx(other[0].score, abs=1e-5)
    assert abs(one[0].score - one[1].score) > 1e-4


def test_the_map_of_a_breast_follows_its_own_side(model: Classifier, written: Written) -> None:
    coam = written.prediction.coam
    found = {b.side: b for b in written.prediction.breasts}
    assert coam[:32].max() == pytest.approx(found["left"].location.peak, rel=0.3)
    assert coam[32:].max() == pytest.approx(found["right"].location.peak, rel=0.3)
    assert (coam[written.prediction.coam == 0].size) > 0


def test_odelia_likelihoods_sum_to_one(model: Classifier, dicom: Path, tmp_path: Path) -> None:
    found = predict_examination(model, open_examination(dicom), tmp_path, output="odelia")
    name = "bilateral-breast-classification-likelihoods.json"
    document = json.loads((tmp_path / name).read_text())
    assert document == odelia_document(found.prediction)
    assert all(sum(side.values()) == pytest.approx(1) for side in document.values())


def test_a_second_prediction_does_not_overwrite_the_first(
    model: Classifier, dicom: Path, written: Written
) -> None:
    with pytest.raises(ConfigError, match="holds a prediction already"):
        predict_examination(model, open_examination(dicom), written.folder)


def test_nifti_phases_give_what_the_dicom_series_gives(
    model: Classifier, written: Written, tmp_path: Path
) -> None:
    examination = open_examination(write_phases(tmp_path), times_s=STUDY.times_s)
    assert np.allclose(examination.study.phases, STUDY.phases)
    found = predict_study(model, examination.study)
    for one, other in zip(found.breasts, written.prediction.breasts, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert np.allclose(one.location.center_mm, other.location.center_mm, atol=0.05)


def test_nifti_phases_are_ordered_by_number_with_pre_first(tmp_path: Path) -> None:
    names = ["Post_10.nii.gz", "Post_2.nii.gz", "Pre.nii.gz", "Sub_1.nii.gz", "T2.nii.gz", "._Pre.nii.gz"]
    for name in names:
        (tmp_path / name).touch()
    assert [p.name for p in nifti_phases(tmp_path)] == ["Pre.nii.gz", "Post_2.nii.gz", "Post_10.nii.gz"]
    other = tmp_path / "other"
    other.mkdir()
    for name in ("p10.nii", "p2.nii", "pre.nii", "lesion_mask.nii"):
        (other / name).touch()
    assert [p.name for p in nifti_phases(other)] == ["pre.nii", "p2.nii", "p10.nii"]


def test_one_breast_can_be_asked_for(model: Classifier, tmp_path: Path) -> None:
    study = make_phantom(0, config=PhantomConfig(size=(32, 40, 12), breasts="right"), kind="malignant").study
    examination = open_examination(write_phases(tmp_path, study), sides=("right",))
    assert [b.side for b in predict_study(model, examination.study).breasts] == ["right"]


def test_the_users_breast_mask_is_used(tmp_path: Path) -> None:
    write_phases(tmp_path / "phases")
    write_nifti(tmp_path / "mask.nii.gz", STUDY.breast_mask, STUDY.affine)
    study = open_examination(tmp_path / "phases", breast_mask=tmp_path / "mask.nii.gz").study
    assert np.array_equal(study.breast_mask, STUDY.breast_mask)


@pytest.mark.parametrize(
    ("text", "words"), [("0,90", "2 times for 6"), ("0,1,2,2,3,4", "must grow"), ("a", "expected")]
)
def test_times_are_checked(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_examination(write_phases(tmp_path), times_s=parse_times(text))


# never a silent score


def test_phases_in_the_wrong_order_are_refused_unless_allowed(model: Classifier) -> None:
    wrong = replace(STUDY, phases=STUDY.phases[::-1].copy())
    with pytest.raises(DataError, match="phase order suspicious: tissue changes"):
        predict_study(model, wrong)
    assert min(predict_study(model, wrong, allow_suspicious=True).wash_in) < 0


def test_a_series_that_says_it_is_out_of_order_is_refused(model: Classifier) -> None:
    with pytest.raises(DataError, match="a later series is described"):
        predict_study(model, replace(STUDY, warnings=("phase order suspicious: a later series is described",)))


Damage = Callable[[Path], None]


def nan_voxels(folder: Path) -> None:
    volume = read_volume(folder / "phase_1.nii.gz")
    array = volume.array.copy()
    array[5, 5, 5] = np.nan
    write_volume(folder / "phase_1.nii.gz", array, like=volume, dtype=np.float32)


def constant(folder: Path) -> None:
    for path in folder.iterdir():
        volume = read_volume(path)
        write_volume(path, np.full_like(volume.array, 9), like=volume, dtype=np.uint16)


def one_phase(folder: Path) -> None:
    for k in range(1, 6):
        (folder / f"phase_{k}.nii.gz").unlink()


def truncated(folder: Path) -> None:
    path = folder / "phase_2.nii.gz"
    path.write_bytes(path.read_bytes()[:-400])


def other_grid(folder: Path) -> None:
    volume = new_volume(np.ones((5, 5, 5), np.float32), np.eye(4))
    write_volume(folder / "phase_3.nii.gz", volume.array, like=volume, dtype=np.float32)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (nan_voxels, "1 of .* voxels are NaN"),
        (constant, "phase order suspicious|constant"),
        (one_phase, "1 phase"),
        (truncated, r"phase_2\.nii\.gz: .*(truncated|damaged)"),
        (other_grid, r"phase_3\.nii\.gz: .* differs"),
    ],
    ids=["NaN voxels", "constant", "one phase", "truncated gz", "other grid"],
)
def test_damaged_phases_give_a_line_and_no_score(
    model: Classifier, tmp_path: Path, damage: Damage, words: str
) -> None:
    folder = write_phases(tmp_path / "phases")
    damage(folder)
    with pytest.raises(DataError, match=words) as caught:
        predict_examination(model, open_examination(folder), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "prob.json").exists()


def test_two_slices_are_resampled_with_a_flagged_breast(model: Classifier, tmp_path: Path) -> None:
    study = replace(STUDY, phases=STUDY.phases[..., 5:7], breast_mask=None, lesion_mask=None, center_mm=None)
    examination = open_examination(write_phases(tmp_path / "phases", study))
    found = predict_examination(model, examination, tmp_path / "out")
    assert all(b.problems for b in found.prediction.breasts)
    assert "only 2 slices" in found.document["breasts"]["left"]["problems"]


def test_eight_bit_files_are_read_as_numbers(model: Classifier, tmp_path: Path) -> None:
    phases = np.rint(STUDY.phases / STUDY.phases.max() * 127)
    for k, phase in enumerate(phases):
        volume = new_volume(phase, STUDY.affine)
        path = tmp_path / f"phase_{k}.nii.gz"
        write_volume(path, volume.array, like=volume, dtype=np.int8)
    examination = open_examination(tmp_path)
    assert np.array_equal(examination.study.phases, phases)
    probs = [b.prob for b in predict_study(model, examination.study).breasts]
    assert probs == pytest.approx(
        [b.prob for b in predict_study(model, replace(STUDY, breast_mask=None)).breasts], abs=0.1
    )


def test_another_modality_is_named(tmp_path: Path) -> None:
    write_dicom_phase(
        tmp_path, STUDY, 0, series_uid=synthetic_uid(1), study_uid=synthetic_uid(2), elements={"Modality": "PT"}
    )
    with pytest.raises(DataError, match="found the modality PT"):
        open_examination(tmp_path)


def test_images_without_geometry_give_no_millimetres(model: Classifier, dicom: Path, tmp_path: Path) -> None:
    examination = open_examination(dicom)
    flat = replace(examination, study=replace(examination.study, meta={"no_geometry": True}))
    found = predict_examination(model, flat, tmp_path)
    assert "candidates.mrk.json" not in found.files
    text = "".join((tmp_path / name).read_text() for name in ("prob.json", "candidates.json"))
    assert "_mm" not in text.replace("spacing_mm", "")
    assert "no geometry" in (tmp_path / "report.html").read_text()


def test_an_empty_folder_and_no_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no DICOM image"):
        open_examination(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        open_examination(tmp_path / "none")
