"""A data folder becomes network inputs: in memory or on disk the same, resumable, with what was left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from breastmri._shared.errors import ConfigError, DataError
from breastmri._shared.io.volumes import new_volume, write_volume
from breastmri.data.opening import open_data
from breastmri.prepare import INDEX, load_breasts, open_prepared, prepare_folder, with_breast_masks
from breastmri.preprocess import Preprocessing
from breastmri.synth import write_synthetic

PLAN = Preprocessing(size=(12, 40, 32), spacing_mm=(6, 4, 4))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plain") / "data"
    write_synthetic("nifti", root, cases=4)
    return root


def test_prepared_and_computed_breasts_are_equal(plain: Path, tmp_path: Path) -> None:
    computed = load_breasts(plain, PLAN, quiet=True)
    prepare_folder(open_data(plain), tmp_path, PLAN, quiet=True)
    prepared = load_breasts(tmp_path, PLAN)
    assert len(computed) == len(prepared) == 8
    assert computed.synthetic
    assert prepared.synthetic
    for one, other in zip(computed, prepared, strict=True):
        assert np.array_equal(one.array, other.array)
        assert np.array_equal(one.region, other.region)
        assert (one.lesion is None) == (other.lesion is None)
        assert (one.window, one.center_mm, one.split) == (other.window, other.center_mm, other.split)
        assert np.allclose(one.affine, other.affine)


def test_subsets_stay_lazy_and_ordered(plain: Path) -> None:
    breasts = load_breasts(plain, PLAN, quiet=True)
    train = breasts.of_split("train")
    assert [train[i].study_id for i in range(len(train))] == [f["study_id"] for f in train.facts]
    assert len(breasts[2:4]) == 2
    assert breasts[-1].study_id == breasts.facts[-1]["study_id"]


def test_an_interrupted_preparation_goes_on(plain: Path, tmp_path: Path) -> None:
    whole = prepare_folder(open_data(plain), tmp_path, PLAN, quiet=True)
    (tmp_path / INDEX).unlink()
    (tmp_path / "breast_00002_left.json").unlink()
    kept = (tmp_path / "breast_00001_left.safetensors").stat().st_mtime_ns
    again = prepare_folder(open_data(plain), tmp_path, PLAN, resume=True, quiet=True)
    assert again.facts == whole.facts
    assert (tmp_path / "breast_00001_left.safetensors").stat().st_mtime_ns == kept


def test_a_folder_with_something_else_is_left_alone(plain: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        prepare_folder(open_data(plain), tmp_path, PLAN, quiet=True)


def test_other_settings_than_the_prepared_ones_are_refused(plain: Path, tmp_path: Path) -> None:
    prepare_folder(open_data(plain), tmp_path, PLAN, quiet=True)
    with pytest.raises(ConfigError, match="other channels"):
        load_breasts(tmp_path, Preprocessing(channels="sub", size=(12, 40, 32), spacing_mm=(6, 4, 4)))


def test_a_damaged_breast_is_named(plain: Path, tmp_path: Path) -> None:
    prepare_folder(open_data(plain), tmp_path, PLAN, quiet=True)
    (tmp_path / "breast_00001_left.safetensors").write_bytes(b"x")
    with pytest.raises(DataError, match=r"breast_00001_left.safetensors: missing or damaged"):
        open_prepared(tmp_path)[0]


def test_a_damaged_study_is_left_out_with_its_reason(plain: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(plain, root)
    phase = root / "studies" / "phantom_0001" / "phase_1.nii.gz"
    phase.write_bytes(phase.read_bytes()[:200])
    breasts = load_breasts(root, PLAN, quiet=True)
    assert len(breasts) == 6
    assert (breasts.excluded[0].number, "phase_1.nii.gz" in breasts.excluded[0].reason) == (2, True)


def test_no_usable_study_is_an_error_with_the_first_reason(plain: Path) -> None:
    with pytest.raises(DataError, match=r"none of 4 studies can be used; the first because: .*need 10"):
        load_breasts(plain, Preprocessing(channels="sub", post_phases=9), quiet=True)


def test_the_users_breast_masks_are_used(plain: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(plain, root)
    manifest = open_data(root)
    affine = np.array(json.loads((root / "truth.json").read_text())["studies"][0]["affine"])
    mask = np.zeros((64, 40, 12), np.uint8)
    mask[5:20, 15:30, 2:9], mask[40:55, 15:30, 2:9] = 1, 2
    volume = new_volume(mask, affine)
    write_volume(root / "masks" / "phantom_0000.nii.gz", volume.array, like=volume, dtype=np.uint8)
    breasts = prepare_folder(with_breast_masks(manifest, root / "masks"), tmp_path / "out", PLAN, quiet=True)
    assert breasts[0].region.sum() < load_breasts(root, PLAN, quiet=True)[0].region.sum()
    with pytest.raises(DataError, match="no mask"):
        with_breast_masks(manifest, tmp_path)
