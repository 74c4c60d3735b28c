"""Synthetic data sets: valid, tiny, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mslaunet._shared.errors import ConfigError
from mslaunet._shared.io.dicom import find_series, read_series
from mslaunet.data.arrays import read_array_pair
from mslaunet.synth import FORMATS, disc_labels, write_synthetic


@pytest.mark.parametrize("layout", FORMATS)
def test_equal_seeds_give_equal_files_and_others_do_not(tmp_path: Path, layout: str) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_synthetic(layout, tmp_path / name, cases=2, slices=2, seed=seed)
    files = [p.relative_to(tmp_path / "a") for p in sorted((tmp_path / "a").rglob("*")) if p.is_file()]
    arrays = [f for f in files if f.suffix not in (".npz", ".h5")]  # these hold the time of writing
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in arrays)
    for f in (f for f in files if f.suffix in (".npz", ".h5")):
        one, two = (read_array_pair(tmp_path / name / f)[0] for name in ("a", "b"))
        assert one is not None
        assert two is not None
        np.testing.assert_array_equal(one, two)
    assert any((tmp_path / "a" / f).read_bytes() != (tmp_path / "c" / f).read_bytes() for f in files)
    assert sum((tmp_path / "a" / f).stat().st_size for f in files) < 1_500_000


@pytest.mark.parametrize("cases", [1, 2])
@pytest.mark.parametrize("layout", FORMATS)
def test_few_cases_are_still_a_data_set(tmp_path: Path, layout: str, cases: int) -> None:
    from mslaunet.data.dataset import open_dataset

    write_synthetic(layout, tmp_path / "set", cases=cases, slices=1)
    assert open_dataset(tmp_path / "set").training


def test_discs_are_where_the_specs_put_them() -> None:
    labels = disc_labels(512)
    for c in range(1, 9):
        row, column = (axis.mean() / 512 for axis in np.nonzero(labels == c))
        assert (row, column) == pytest.approx((0.20 + 0.07 * c, 0.80 - 0.07 * c), abs=0.002)
        assert np.sqrt((labels == c).sum() / np.pi) / 512 == pytest.approx(0.05, abs=0.001)


def test_synthetic_synapse_slices_are_float32_in_unit_range(tmp_path: Path) -> None:
    write_synthetic("synapse", tmp_path / "set", cases=3)
    with np.load(tmp_path / "set/train_npz/case0001_slice000.npz") as archive:
        assert sorted(archive.files) == ["image", "label"]
        assert archive["image"].dtype == np.float32
        assert 0 <= archive["image"].min() <= archive["image"].max() <= 1
        assert set(np.unique(archive["label"])) == set(range(9))


def test_synthetic_dicom_is_oblique_with_a_misleading_thickness(tmp_path: Path) -> None:
    write_synthetic("dicom", tmp_path / "set", cases=1, slices=3)
    series = find_series(tmp_path / "set/images/disc_00")[0]
    assert series.slices[0].thickness_mm == 8.0
    assert read_series(series).spacing_mm == pytest.approx((0.8, 0.7, 5.0))


def test_an_unknown_format_lists_those_there_are(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    with pytest.raises(ConfigError, match=r"format 'zip' is unknown; choose one of nnunet, folders, synapse"):
        write_synthetic("zip", tmp_path)
    result = run_cli("synth", "zip", tmp_path)
    assert (result.exit_code, "choose one of nnunet" in result.stderr) == (2, True)
