"""Any layout into one form: nothing is lost, everything is hashed, an interrupted run goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mslaunet import prepare
from mslaunet._shared.errors import ConfigError, DataError
from mslaunet._shared.files import sha256_file
from mslaunet.data.dataset import Dataset, open_dataset
from mslaunet.data.loading import LoadedCase, load_case
from mslaunet.data.manifest import JOURNAL, read_manifest
from mslaunet.prepare import prepare_dataset
from mslaunet.synth import FORMATS, write_synthetic

Run = Callable[..., Result]


def loaded(dataset: Dataset) -> list[LoadedCase]:
    return [
        load_case(
            case,
            num_channels=len(dataset.channels),
            num_classes=len(dataset.classes),
            mask_values=dataset.mask_values,
        )
        for case in (*dataset.training, *dataset.testing)
    ]


@pytest.mark.parametrize("layout", FORMATS)
def test_what_is_prepared_equals_what_was_there(tmp_path: Path, layout: str) -> None:
    write_synthetic(layout, tmp_path / "src", cases=4, slices=3)
    prepare_dataset("auto", tmp_path / "src", tmp_path / "dst", quiet=True)
    before, after = open_dataset(tmp_path / "src"), open_dataset(tmp_path / "dst")
    for one, two in zip(loaded(before), loaded(after), strict=True):
        np.testing.assert_allclose(two.image, one.image, atol=1e-6)
        np.testing.assert_array_equal(two.mask, one.mask)
        np.testing.assert_allclose(two.spacing_mm, one.spacing_mm, rtol=1e-6)
        if one.volume is not None and two.volume is not None:
            np.testing.assert_allclose(two.volume.affine, one.volume.affine, atol=1e-4)
    for name in ("training", "testing"):
        cases = [(case.case_id, case.patient_id) for case in getattr(before, name)]
        assert [(case.case_id, case.patient_id) for case in getattr(after, name)] == cases
    assert (after.classes, after.channels, after.folds) == (before.classes, before.channels, before.folds)
    assert (after.labels, after.spacing_known) == (before.labels, before.spacing_known)
    assert not (tmp_path / "dst" / JOURNAL).exists()


@pytest.fixture
def synapse(tmp_path: Path) -> Path:
    write_synthetic("synapse", tmp_path / "src", cases=4, slices=3)
    return tmp_path / "src"


def test_every_file_is_hashed_before_and_after(synapse: Path, tmp_path: Path) -> None:
    prepare_dataset("synapse", synapse, tmp_path / "dst", quiet=True)
    manifest = read_manifest(tmp_path / "dst")
    assert manifest is not None
    for case in manifest.cases:
        for record in case.files:
            assert sha256_file(tmp_path / "dst" / record.name) == record.sha256
        for record in case.sources:
            found = next(synapse.rglob(record.name))
            assert sha256_file(found) == record.sha256
    assert (manifest.layout, manifest.spacing_known) == ("synapse", False)
    assert manifest.cases[0].shape == (3, 64, 64)


def test_preparing_twice_gives_equal_bytes(synapse: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        prepare_dataset("synapse", synapse, tmp_path / name, quiet=True)
    files = [p.relative_to(tmp_path / "a") for p in sorted((tmp_path / "a").rglob("*")) if p.is_file()]
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_an_interrupted_run_goes_on_where_it_stopped(
    synapse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "dst"
    write, done = prepare._write_case, []

    def stop(case: object, *arguments: object) -> object:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(case)
        return write(case, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare, "_write_case", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare_dataset("synapse", synapse, target, quiet=True)
    with pytest.raises(DataError, match="layout not recognised"):
        open_dataset(target)  # half a data set is none
    with pytest.raises(ConfigError, match="not empty; choose another folder, or go on with --resume"):
        prepare_dataset("synapse", synapse, target, quiet=True)
    with pytest.raises(ConfigError, match="begun with another layout or other options"):
        prepare_dataset("synapse", synapse, target, label_map="cascade", resume=True, quiet=True)
    monkeypatch.setattr(prepare, "_write_case", write)
    result = prepare_dataset("synapse", synapse, target, resume=True, quiet=True)
    assert result.kept == 2
    prepare_dataset("synapse", synapse, tmp_path / "whole", quiet=True)
    assert read_manifest(target) == read_manifest(tmp_path / "whole")
    with pytest.raises(ConfigError, match="dst: is finished; choose another folder"):
        prepare_dataset("synapse", synapse, target, resume=True, quiet=True)


def test_a_case_whose_source_changed_is_made_again(
    synapse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mslaunet.synth.arrays import write_npz

    target = tmp_path / "dst"
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare_dataset("synapse", synapse, target, quiet=True)
    write_npz(synapse / "train_npz/case0001_slice000.npz", image=np.ones((64, 64)), label=np.full((64, 64), 5))
    next((target / "imagesTr").glob("case0002*")).write_bytes(b"damaged")
    result = prepare_dataset("synapse", synapse, target, resume=True, quiet=True)
    assert result.kept == 2
    assert loaded(open_dataset(target))[0].image[0, 0].min() == 275


def test_unreadable_cases_are_listed_or_stop_the_run(tmp_path: Path) -> None:
    write_synthetic("folders", tmp_path / "src", cases=5)
    (tmp_path / "src/images/ellipse_03.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"1 of 5 cases are unusable; the first: ellipse_03\.png"):
        prepare_dataset("folders", tmp_path / "src", tmp_path / "a", quiet=True)
    result = prepare_dataset("folders", tmp_path / "src", tmp_path / "b", max_excluded_fraction=0.2, quiet=True)
    assert list(result.manifest.excluded) == ["ellipse_03"]
    assert len(open_dataset(tmp_path / "b").training) == 4


def test_regroup_draws_a_test_part_that_parts_no_video(tmp_path: Path) -> None:
    write_synthetic("clinicdb", tmp_path / "src", cases=8)
    table = (tmp_path / "src/test_train_data.csv").read_text().replace("1.png,train", "1.png,test")
    (tmp_path / "src/test_train_data.csv").write_text(table)
    with pytest.raises(DataError, match="on both sides of training and testing"):
        prepare_dataset("clinicdb", tmp_path / "src", tmp_path / "a", quiet=True)
    prepare_dataset("clinicdb", tmp_path / "src", tmp_path / "b", regroup=True, quiet=True)
    dataset = open_dataset(tmp_path / "b")
    assert dataset.testing
    assert not {c.patient_id for c in dataset.training} & {c.patient_id for c in dataset.testing}
    assert any("drawn by patient or sequence" in warning for warning in dataset.warnings)
    prepare_dataset("clinicdb", tmp_path / "src", tmp_path / "c", allow_overlap=True, quiet=True)
    assert len(open_dataset(tmp_path / "c", overlap="allow").testing) == 3


def test_a_target_inside_the_source_is_refused(synapse: Path) -> None:
    with pytest.raises(ConfigError, match="lies in the source folder"):
        prepare_dataset("synapse", synapse, synapse / "out", quiet=True)
    assert not (synapse / "out").exists()


def test_sixteen_bit_pictures_keep_their_values(tmp_path: Path) -> None:
    from mslaunet._shared.io.images import read_image, write_png

    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 15
    for i in range(2):
        write_png(tmp_path / f"src/images/{i}.png", pixels)
        write_png(tmp_path / f"src/masks/{i}.png", (pixels > 9000).astype(np.uint8))
    prepare_dataset("folders", tmp_path / "src", tmp_path / "dst", quiet=True)
    np.testing.assert_array_equal(read_image(tmp_path / "dst/imagesTr/0_0000.png").array, pixels)


def test_text_of_dicom_headers_does_not_come_along(tmp_path: Path) -> None:
    import pydicom

    write_synthetic("dicom", tmp_path / "src", cases=2, slices=2)
    for path in (tmp_path / "src/images").rglob("*.dcm"):
        data = pydicom.dcmread(path)
        data.PatientName, data.PatientID = "CANARY^JANE", "CANARY-1"
        data.save_as(path)
    prepare_dataset("dicom", tmp_path / "src", tmp_path / "dst", quiet=True)
    import gzip

    for path in (tmp_path / "dst").rglob("*"):
        if path.is_file():
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            assert b"CANARY" not in content


def test_t7_distances_on_scans_of_unknown_voxel_size_are_not_called_millimetres(
    synapse: Path, tmp_path: Path
) -> None:
    from mslaunet.evaluate import class_mean, evaluate_folders

    prepare_dataset("synapse", synapse, tmp_path / "dst", quiet=True)
    labels = tmp_path / "dst/labelsTr"
    assert class_mean(evaluate_folders(labels, labels, quiet=True), "hd95_px").mean == 0
    write_synthetic("nnunet", tmp_path / "mm", cases=2)
    prepare_dataset("nnunet", tmp_path / "mm", tmp_path / "mm2", quiet=True)
    labels = tmp_path / "mm2/labelsTr"
    assert class_mean(evaluate_folders(labels, labels, quiet=True), "hd95_mm").mean == 0


def test_the_command_tells_what_it_made_and_what_to_know(synapse: Path, tmp_path: Path, run_cli: Run) -> None:
    result = run_cli("prepare", "synapse", synapse, tmp_path / "dst", "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["training"], answer["testing"], answer["kept"]) == (3, 1, 0)
    assert any("in voxels, not in mm" in warning for warning in answer["warnings"])
    shutil.rmtree(tmp_path / "dst")
    assert run_cli("prepare", "auto", synapse, tmp_path / "dst").exit_code == 0
    assert run_cli("prepare", "auto", tmp_path / "nowhere", tmp_path / "x").exit_code == 3
