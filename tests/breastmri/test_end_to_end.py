"""Every layout from writing to prediction, through the command line; maps overlay the input and the planted lesion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.breastmri.predict_model import tiny_model
from typer.testing import CliRunner, Result

from breastmri._shared.io.volumes import read_volume, require_same_grid, write_volume
from breastmri.cli import app
from breastmri.data.opening import open_data
from breastmri.data.reading import load_rows
from breastmri.synth import FORMATS

# Arguments of `predict` for the first study: what a user of that set would give, else the data set and --study.
SOURCES: dict[str, tuple[str, list[str]]] = {
    "duke-dicom": ("Duke-Breast-Cancer-MRI/Breast_MRI_001", []),
    "fastmri-dicom": ("fastMRI_breast_001_1", []),
    "mama-mia": ("images/DUKE_001", ["--times", "0,90,180,270,360,450"]),
    "odelia": ("RUMC/data_unilateral/ODELIA_BRAID1_0001_1_left", ["--side", "left"]),
}
QUICK = (
    *("--set", "train.batch_size=4", "--set", "data.validation_fraction=0.34"),  # three of ten patients
    *("--device", "cpu", "--quiet"),
)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def first_study(root: Path) -> str:
    """The study, or the breast, of the first phantom, whose lesion is malignant."""
    name = json.loads((root / "truth.json").read_text())["studies"][0]["study_id"]
    studies = open_data(root).studies()
    return next(s for s, rows in studies.items() if s.startswith(name) and any(r.label for r in rows))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("layout", FORMATS)
def test_from_synthetic_data_to_a_prediction_that_overlays_them(tmp_path: Path, layout: str) -> None:
    data, model, out = tmp_path / "data", tmp_path / "run", tmp_path / "out"
    run("synth", layout, data, "--cases", 10)
    assert json.loads(run("doctor", data, "--json", "--quiet").stdout)["studies"] >= 9
    run("train", data, "--run-dir", model, "--recipe", "tiny", "--epochs", 2, *QUICK)
    scores = run("evaluate", data, "--model", model, "--on", "all", "--json", "--quiet", "--localiser", "coam")
    assert json.loads(scores.stdout)["groups"][0]["n"] >= 10
    folder, options = SOURCES.get(layout, ("", ["--study", first_study(data)]))
    document = run("predict", data / folder, "--model", model, "-o", out, "--json", "--quiet", *options).stdout
    assert 0 <= json.loads(document)["breasts"]["left"]["probability"] <= 1
    assert_overlays(data, layout, out)


def assert_overlays(data: Path, layout: str, out: Path) -> None:
    """The maps have the input's grid, and the planted lesion is where enhancement is, within one voxel."""
    manifest = open_data(data)
    study, grid = load_rows(manifest, manifest.studies()[first_study(data)])
    for path in out.glob("*.nii.gz"):
        require_same_grid(grid, read_volume(path))
    enhancement = read_volume(out / "kinetics_pe.nii.gz")
    truth = json.loads((data / "truth.json").read_text())["studies"][0]
    if layout in ("breastdcedl", "breastdm"):  # no world coordinates: the mask says where
        center = np.argwhere(study.lesion_mask).mean(0)
    else:
        inverse = np.linalg.inv(enhancement.affine)
        center = (inverse @ (*truth["center_mm"], 1))[:3]
    spacing = (
        (4.0, 4.0, 6.0) if layout == "breastdm" else enhancement.spacing_mm
    )  # the phantom's, lost in its PNGs
    found = enhancement_center(enhancement.array, center, np.array(spacing))
    assert np.abs(found - center).max() <= 1.0
    if layout in ("duke-dicom", "fastmri-dicom"):
        assert_simpleitk_agrees(data / SOURCES[layout][0], out / "coam.nii.gz", truth["center_mm"])


def enhancement_center(pe: np.ndarray, near: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Index of the middle of what enhances strongly within 16 mm of a place."""
    index = np.argwhere(np.ones(pe.shape, bool))
    distance = np.linalg.norm((index - near) * spacing_mm, axis=1)
    values = np.where(distance <= 16, pe.ravel(), 0)
    weight = np.where(values >= 0.5 * values.max(), values, 0)
    return (index * weight[:, None]).sum(0) / weight.sum()


def assert_simpleitk_agrees(folder: Path, map_path: Path, center_mm: list[float]) -> None:
    """A second library finds the same place in the DICOM slices and in the written map."""
    sitk = pytest.importorskip("SimpleITK")
    reader = sitk.ImageSeriesReader()
    found = [
        (p, uid) for p in [folder, *folder.rglob("*")] if p.is_dir() for uid in reader.GetGDCMSeriesIDs(str(p))
    ]
    files = reader.GetGDCMSeriesFileNames(str(found[0][0]), found[0][1])
    depth = read_volume(map_path).array.shape[2]
    image, written = sitk.ReadImage(files[:depth]), sitk.ReadImage(str(map_path))
    x, y, z = center_mm
    lps = (-x, -y, z)
    if len(files) == depth:  # one phase per series; otherwise SimpleITK cannot stack the time points
        assert np.allclose(
            image.TransformPhysicalPointToContinuousIndex(lps),
            written.TransformPhysicalPointToContinuousIndex(lps),
            atol=1e-3,
        )
    origin = sitk.ReadImage(files[0]).TransformIndexToPhysicalPoint((0, 0, 0))
    index = np.array(written.TransformPhysicalPointToContinuousIndex(origin))
    assert np.abs(index - np.rint(index)).max() < 1e-3
    assert (index > -0.5).all()


def test_prepare_then_train_needs_no_settings(tmp_path: Path) -> None:
    run("synth", "nifti", tmp_path / "data", "--cases", 10)
    small = [
        "--set",
        "data.preprocessing.size=[12, 40, 32]",
        "--set",
        "data.preprocessing.spacing_mm=[6.0, 4.0, 4.0]",
    ]
    summary = json.loads(
        run("prepare", tmp_path / "data", "--out", tmp_path / "ready", *small, "--json", "--quiet").stdout
    )
    assert (summary["breasts"], summary["excluded"]) == (20, [])
    table = (tmp_path / "ready" / "source_manifest.csv").read_text()
    assert table == (tmp_path / "data" / "manifest.csv").read_text()  # copied there, it replaces the set's tables
    run(
        *("train", tmp_path / "ready", "--run-dir", tmp_path / "run", "--recipe", "tiny", "--epochs", 1),
        *QUICK,
    )


def test_the_doctor_exits_with_one_where_something_is_found(tmp_path: Path) -> None:
    run("synth", "nifti", tmp_path / "data", "--cases", 2)
    table = tmp_path / "data" / "manifest.csv"
    table.write_text(table.read_text().replace(",train,", ",test,", 1))
    result = CliRunner().invoke(app, ["doctor", str(tmp_path / "data"), "--quiet"])
    assert result.exit_code == 1
    assert "finding  leakage: 1 patients are in more than one split" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["doctor", "nowhere"], 3, "no such folder"),
        (["doctor", ".", "--layout", "dukes"], 2, "unknown"),
        (["predict", "nowhere", "--model", "none", "-o", "out"], 4, "none"),
        (["synth", "tiff", "out"], 2, "tiff"),
        (["prepare", ".", "--out", "out"], 3, "not a known data set"),
    ],
)
def test_failures_are_one_line_with_their_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_every_option_of_prepare_doctor_and_predict_reaches_its_work(tmp_path: Path) -> None:
    data, ready = tmp_path / "data", tmp_path / "ready"
    run("synth", "nifti", data, "--cases", 2, "--seed", 5)
    phase = read_volume(data / "studies" / "phantom_0000" / "phase_0.nii.gz")
    mask = np.zeros(phase.array.shape, np.uint8)
    mask[4:28, 15:36], mask[36:60, 15:36] = 1, 2
    write_volume(data / "masks" / "phantom_0000.nii.gz", mask, like=phase, dtype=np.uint8)
    prepare = ("prepare", data, "--out", ready, "--layout", "manifest", "--breast-masks", data / "masks")
    small = (
        "--set",
        "data.preprocessing.size=[12, 40, 32]",
        "--set",
        "data.preprocessing.spacing_mm=[6.0, 4.0, 4.0]",
    )
    run(*prepare, *small, "--box-base", 0, "--quiet")
    facts = json.loads((ready / "breasts.json").read_text())["breasts"]
    assert len(facts) == 4
    run(*prepare, *small, "--resume", "--quiet")
    assert json.loads((ready / "breasts.json").read_text())["breasts"] == facts
    assert "2 studies" in run("doctor", data, "--limit", 1, "--quiet").stdout
    model = tmp_path / "run"
    tiny_model(model)
    options = ("--times", "0,60,120,180,240,300", "--breast-mask", data / "masks" / "phantom_0000.nii.gz")
    more = (
        "--localiser",
        "cam",
        "--flips",
        1,
        "--format",
        "odelia",
        "--label",
        "mine",
        "--allow",
        "--side",
        "left",
    )
    study = data / "studies" / "phantom_0000"
    document = json.loads(
        run(
            "predict", study, "--model", model, "-o", tmp_path / "out", *options, *more, "--json", "--quiet"
        ).stdout
    )
    assert (document["label"], document["times_s"], list(document["breasts"])) == (
        "mine",
        [0, 60, 120, 180, 240, 300],
        ["left"],
    )
    assert "bilateral-breast-classification-likelihoods.json" in document["files"]
