"""The demo at a twentieth of its size: everything it promises is written, and it claims nothing about people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from breastmri._shared.errors import ConfigError
from breastmri._shared.io.nrrd import read_nrrd
from breastmri.demo import methods as demo_methods
from breastmri.demo import run as demo_run
from breastmri.demo.methods import demo_config
from breastmri.demo.real import real_study
from breastmri.demo.run import DemoResult, demo_text, run_demo

pytestmark = [pytest.mark.assets, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, asset: Callable[[str], Path]) -> DemoResult:
    asset("pyradiomics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_run, "TRAIN", 24)
        patch.setattr(demo_run, "TEST", 16)
        patch.setattr(demo_methods, "SLOW_CASES", 2)
        return run_demo(tmp_path_factory.mktemp("demo") / "run", max_minutes=0.05, device="cpu", quiet=True)


@pytest.mark.slow
def test_both_losses_take_equally_many_steps_on_the_same_breasts(result: DemoResult) -> None:
    assert {m.name: m.steps for m in result.methods} == {"BCE": 5, "CMSL": 5}
    assert len({(m.auc.n_positive, m.auc.n_negative) for m in result.methods}) == 1


@pytest.mark.slow
def test_every_localiser_has_an_interval_and_n_beside_the_baseline(result: DemoResult) -> None:
    cmsl = result.methods[-1].errors
    assert {"coam", "coam-weighted", "contribution", "cam", "grad-cam", "occlusion", "enhancement"} <= set(cmsl)
    assert "contribution" not in result.methods[0].errors
    for value in cmsl.values():
        assert value.low <= value.estimate <= value.high
        assert value.n_patients > 0


@pytest.mark.slow
def test_the_page_says_what_it_does_not_show(result: DemoResult) -> None:
    page = (result.folder / "report.html").read_text(encoding="utf-8")
    for words in ("not for patients", "no claim", "enhancement is painted on", "pyradiomics 3.0.1 (BSD-3-Clause)"):
        assert words in page
    assert "enhancement painted on" in demo_text(result)
    document = json.loads((result.folder / "demo.json").read_text())
    assert document["methods"]["CMSL"]["auc"]["n_positive"] > 0


@pytest.mark.slow
def test_the_predicted_dicom_study_is_whole(result: DemoResult) -> None:
    assert (result.folder / "prediction" / "prob.json").exists()
    assert (result.folder / "real_breast.png").stat().st_size > 5_000


@pytest.mark.slow
def test_a_finished_demo_is_not_overwritten(result: DemoResult) -> None:
    with pytest.raises(ConfigError, match="not empty"):
        run_demo(result.folder, quiet=True)


def test_minutes_buy_steps_for_both_losses_alike() -> None:
    steps = {name: demo_config(name, max_minutes=6, seed=0).train.max_steps for name in ("BCE", "CMSL")}
    assert steps == {"BCE": 600, "CMSL": 600}


def test_the_real_breast_keeps_its_texture_and_enhances_inside_the_mask_only(asset: Callable[[str], Path]) -> None:
    study = real_study()
    image = read_nrrd(asset("pyradiomics") / "data" / "breast1_image.nrrd").array
    assert np.array_equal(study.phases[0], image)
    gain = (study.phases[1] - study.phases[0]) / study.phases[0]
    far = ~(study.lesion_mask | (study.phases[1] > 1.3 * study.phases[0]))
    assert gain[study.lesion_mask].mean() > 1
    assert gain[far].max() < 0.3
    assert (int(study.lesion_mask.sum()), study.lesion_side) == (143, "right")
