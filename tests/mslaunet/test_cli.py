"""The commands as a user runs them: results, exit codes, one line per failure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.mslaunet.conftest import TINY
from typer.testing import Result

from mslaunet._shared.io.volumes import read_labels, read_volume, require_same_grid

Run = Callable[..., Result]


def _fails(result: Result, code: int, *words: str) -> None:
    """One line on stderr with these words, the exit code, no traceback and nothing on stdout."""
    lines = result.stderr.strip().splitlines()
    assert result.exit_code == code, result.stderr
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    for word in words:
        assert word in lines[-1]


def test_train_writes_the_run_directory(volume_model: Path) -> None:
    names = {p.name for p in volume_model.iterdir()}
    assert {"config.toml", "env.json", "data.json", "metrics.jsonl", "checkpoints", "STATUS"} <= names
    assert (volume_model / "STATUS").read_text().strip() == "finished"
    data = json.loads((volume_model / "data.json").read_text())
    assert data["split"]["by"] == "cases"
    assert all(len(case["sha256"]) == 64 for case in data["cases"])


def test_train_prints_one_json_document(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    result = run_cli(
        "train", volumes, "--run-dir", tmp_path / "run", "--set", "train.max_steps=1", "--json", "--quiet", *TINY
    )
    assert json.loads(result.stdout)["steps"] == 1


def test_epochs_flag_decides_the_length(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    result = run_cli("train", volumes, "--run-dir", tmp_path / "run", "--epochs", 1, "--json", "--quiet", *TINY)
    assert json.loads(result.stdout)["steps"] == 20 // 4


def test_prediction_lies_on_the_grid_of_its_image(
    volumes: Path, volume_model: Path, tmp_path: Path, run_cli: Run
) -> None:
    result = run_cli(
        "predict", volumes / "imagesTr", "--model", volume_model, "--out", tmp_path, "--json", "--quiet"
    )
    masks = [Path(p) for p in json.loads(result.stdout)["masks"]]
    assert [p.name for p in masks] == [f"disc_{i:02d}.nii.gz" for i in range(6)]
    image = read_volume(volumes / "imagesTr" / "disc_03_0000.nii.gz")
    mask = read_labels(masks[3])
    require_same_grid(image, mask)
    assert np.array_equal(image.source.affine, mask.source.affine)
    assert mask.source.orientation == image.source.orientation == "LAS"


def test_two_dimensional_masks_keep_the_pixel_values_of_training(
    images: Path, image_model: Path, tmp_path: Path, run_cli: Run
) -> None:
    from mslaunet._shared.io.images import read_image

    result = run_cli("predict", images / "images", "--model", image_model, "--out", tmp_path, "--quiet")
    assert result.exit_code == 0, result.stderr
    mask = read_image(tmp_path / "ellipse_02.png").array
    assert mask.shape == (64, 85)
    assert set(np.unique(mask)) <= {0, 255}


def test_predict_keeps_finished_masks_on_resume_and_refuses_them_otherwise(
    images: Path, image_model: Path, tmp_path: Path, run_cli: Run
) -> None:
    arguments = ("predict", images / "images", "--model", image_model, "--out", tmp_path, "--quiet")
    assert run_cli(*arguments).exit_code == 0
    (tmp_path / "ellipse_00.png").write_bytes(b"kept")
    (tmp_path / "ellipse_01.png").unlink()
    _fails(run_cli(*arguments), 2, "ellipse_00.png: exists already", "--resume")
    assert run_cli(*arguments, "--resume").exit_code == 0
    assert (tmp_path / "ellipse_00.png").read_bytes() == b"kept"
    assert (tmp_path / "ellipse_01.png").exists()


def test_a_perfect_prediction_scores_one_and_names_the_policy(volumes: Path, run_cli: Run) -> None:
    result = run_cli("evaluate", volumes / "labelsTr", volumes / "labelsTr", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert "1.000" in result.stdout
    assert 'policy "undefined"' in result.stdout
    assert "TransUNet convention" in result.stdout
    document = json.loads(
        run_cli("evaluate", volumes / "labelsTr", volumes / "labelsTr", "--quiet", "--json").stdout
    )
    overall = [r for r in document["summary"] if r["label"] is None and r["metric"] == "dice"]
    assert (overall[0]["mean"], overall[0]["n_patients"]) == (1.0, 6)


def test_evaluate_writes_metrics_and_report(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    run_cli("evaluate", volumes / "labelsTr", volumes / "labelsTr", "--run-dir", tmp_path / "out", "--quiet")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["policy"] == "undefined"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "disc_3" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_missing_prediction_is_an_error_not_a_smaller_mean(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    shutil.copytree(volumes / "labelsTr", tmp_path / "masks")
    (tmp_path / "masks" / "disc_04.nii.gz").unlink()
    _fails(run_cli("evaluate", volumes / "labelsTr", tmp_path / "masks", "--quiet"), 3, "disc_04", "1 of 6")


def test_info_names_every_preset_and_the_published_size(run_cli: Run) -> None:
    document = json.loads(run_cli("info", "--json").stdout)
    assert document["variants"]["base"]["parameters"] == 21_895_241
    # The published 10.034 are those of the official order (test_official_order.py). Convolving before the doubling
    # saves 0.39 in the last convolution and 0.03 in the neck.
    assert document["variants"]["base"]["gflop_224"] == pytest.approx(9.615, abs=0.005)
    assert set(document["presets"]) == {"official", "corrected", "raster-min"}


def test_info_describes_a_trained_model(volume_model: Path, run_cli: Run) -> None:
    document = json.loads(run_cli("info", "--model", volume_model, "--json").stdout)
    assert document["preprocessing"]["intensity"] == "window"
    assert document["classes"]["3"] == "disc_3"


def test_convert_makes_a_model_that_predicts(tmp_path: Path, volumes: Path, run_cli: Run) -> None:
    import torch

    from mslaunet.model import MSLAUNet

    weights = MSLAUNet.variant("small", 9, embed_dims=(64, 64, 64, 64), preset="official").state_dict()
    torch.save({"model": weights}, tmp_path / "official.pth")
    result = run_cli("convert", tmp_path / "official.pth", tmp_path / "model", "--in-channels", 1, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["preset"] == "official"
    image = volumes / "imagesTr" / "disc_00_0000.nii.gz"
    with pytest.warns(UserWarning, match="belong to 224 x 224"):
        predicted = run_cli("predict", image, "--model", tmp_path / "model", "--out", tmp_path / "out", "--quiet")
    assert predicted.exit_code == 0, predicted.stderr


# --- failures


def test_missing_weights_name_the_file(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    result = run_cli("predict", volumes / "imagesTr", "--model", tmp_path / "none", "--out", tmp_path / "out")
    _fails(result, 4, "none: no such model")
    assert not (tmp_path / "out").exists()


def test_a_pickle_given_as_model_is_refused_and_not_run(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    import pickle

    canary = tmp_path / "canary"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (eval, (f"open({str(canary)!r}, 'w')",))

    weights = tmp_path / "weights.pth"
    weights.write_bytes(pickle.dumps(Payload()))
    _fails(run_cli("predict", volumes / "imagesTr", "--model", weights, "--out", tmp_path), 4, "convert")
    _fails(run_cli("convert", weights, tmp_path / "model"), 4, "weights.pth")
    assert not canary.exists()


def test_empty_input_folder(volume_model: Path, tmp_path: Path, run_cli: Run) -> None:
    (tmp_path / "empty").mkdir()
    result = run_cli("predict", tmp_path / "empty", "--model", volume_model, "--out", tmp_path / "out")
    _fails(result, 3, "empty: no image among 0 files")
    assert not (tmp_path / "out").exists()


def test_truncated_volume_leaves_no_mask(volumes: Path, volume_model: Path, tmp_path: Path, run_cli: Run) -> None:
    whole = (volumes / "imagesTr" / "disc_00_0000.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    result = run_cli("predict", tmp_path / "cut.nii.gz", "--model", volume_model, "--out", tmp_path / "out")
    _fails(result, 3, "cut.nii.gz")
    assert list((tmp_path / "out").iterdir()) == []


def test_four_dimensional_volume(volume_model: Path, tmp_path: Path, run_cli: Run) -> None:
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.zeros((8, 8, 4, 3), np.int16), np.eye(4)), tmp_path / "four.nii.gz")
    result = run_cli("predict", tmp_path / "four.nii.gz", "--model", volume_model, "--out", tmp_path / "out")
    _fails(result, 3, "four.nii.gz", "4-D")
    assert list((tmp_path / "out").iterdir()) == []


def test_nan_voxels(volume_model: Path, tmp_path: Path, run_cli: Run) -> None:
    import nibabel as nib

    array = np.zeros((8, 8, 4), np.float32)
    array[1, 2, 3] = np.nan
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "holes.nii.gz")
    result = run_cli("predict", tmp_path / "holes.nii.gz", "--model", volume_model, "--out", tmp_path / "out")
    _fails(result, 3, "holes.nii.gz: 1 of 256 voxels are NaN")
    assert list((tmp_path / "out").iterdir()) == []


def test_mask_on_another_grid(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    import nibabel as nib

    shutil.copytree(volumes, tmp_path / "set")
    mask = tmp_path / "set" / "labelsTr" / "disc_00.nii.gz"
    image = nib.load(mask)
    shifted = image.affine.copy()
    shifted[0, 3] += 3
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), shifted), mask)
    result = run_cli(
        "train", tmp_path / "set", "--run-dir", tmp_path / "run", "--set", "data.max_excluded_fraction=0", *TINY
    )
    _fails(result, 3, "disc_00.nii.gz", "3 mm off")
    assert (tmp_path / "run" / "STATUS").read_text().strip() == "failed"


def test_unknown_settings_are_all_named_with_the_nearest_key(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    result = run_cli(
        "train", volumes, "--run-dir", tmp_path / "run", "--set", "train.lrr=1", "--set", "model.variant=huge"
    )
    _fails(result, 2, "train.lrr", "train.lr", "model.variant")
    assert not (tmp_path / "run").exists()


def test_unknown_key_in_a_config_file(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    (tmp_path / "c.toml").write_text("[modle]\nvariant = 'tiny'\n")
    result = run_cli("train", volumes, "--run-dir", tmp_path / "run", "--config", tmp_path / "c.toml")
    _fails(result, 2, "modle", "model")


def test_absent_device(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    result = run_cli("train", volumes, "--run-dir", tmp_path / "run", "--device", "cuda:9")
    _fails(result, 5, "cuda:9")


def test_output_below_a_file(volumes: Path, volume_model: Path, tmp_path: Path, run_cli: Run) -> None:
    (tmp_path / "file").write_text("")
    result = run_cli("predict", volumes / "imagesTr", "--model", volume_model, "--out", tmp_path / "file" / "out")
    _fails(result, 5, "file")


def test_read_only_output(
    volumes: Path, volume_model: Path, tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    import mslaunet._shared.files as files

    def refuse(dir: Path) -> None:  # noqa: A002
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)  # root may write wherever permissions forbid it
    result = run_cli(
        "predict", volumes / "imagesTr", "--model", volume_model, "--out", tmp_path / "out", "--quiet"
    )
    _fails(result, 5, "out", "read-only")
    assert list((tmp_path / "out").iterdir()) == []


def test_disk_full_while_predicting_leaves_nothing_half_written(
    volumes: Path, volume_model: Path, tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    import mslaunet._shared.files as files

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    result = run_cli(
        "predict", volumes / "imagesTr", "--model", volume_model, "--out", tmp_path / "out", "--quiet"
    )
    _fails(result, 5, "space")
    assert list((tmp_path / "out").iterdir()) == []


def test_unicode_and_spaces_from_data_to_scores(volumes: Path, tmp_path: Path, run_cli: Run) -> None:
    root = tmp_path / "Übung 影像 (1)"
    shutil.copytree(volumes, root / "set")
    trained = run_cli(
        "train", root / "set", "--run-dir", root / "run 1", "--set", "train.max_steps=1", "--quiet", *TINY
    )
    assert trained.exit_code == 0, trained.stderr
    predicted = run_cli(
        "predict", root / "set" / "imagesTr", "--model", root / "run 1", "--out", root / "masks 1", "--quiet"
    )
    assert predicted.exit_code == 0, predicted.stderr
    scored = run_cli("evaluate", root / "set" / "labelsTr", root / "masks 1", "--quiet")
    assert scored.exit_code == 0, scored.stderr


def test_a_used_run_directory_is_not_overwritten(volumes: Path, volume_model: Path, run_cli: Run) -> None:
    before = (volume_model / "metrics.jsonl").read_bytes()
    _fails(run_cli("train", volumes, "--run-dir", volume_model, "--quiet", *TINY), 2, "--resume")
    assert (volume_model / "metrics.jsonl").read_bytes() == before


def test_resume_with_other_settings_is_refused_with_the_difference(
    volumes: Path, volume_model: Path, run_cli: Run
) -> None:
    arguments = ("train", volumes, "--run-dir", volume_model, "--resume", "--quiet", *TINY)
    _fails(run_cli(*arguments, "--set", "train.max_steps=3", "--set", "train.lr=0.5"), 2, "train.lr", "0.5")


def test_synth_refuses_a_folder_in_use(images: Path, run_cli: Run) -> None:
    _fails(run_cli("synth", "nnunet", images), 2, "not empty")
