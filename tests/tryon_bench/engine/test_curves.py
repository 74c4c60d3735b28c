"""Fréchet distances against the number of images, from the features in a run's folder."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tryon_bench.evaluations import plan

from tryon_bench.engine.chunk import Chunk
from tryon_bench.engine.curves import bias_curves
from tryon_bench.engine.evaluation import read_evaluation, summarise, write_evaluation
from tryon_bench.engine.features import sets_of
from tryon_bench.engine.run import chunk_path
from tryon_bench.protocol.schema import Protocol

PROTOCOL = Protocol(name="features", ssim=(), psnr=False, lpips=(), fd_effnet_lite0=True)


def run_with_features(folder, count):
    """A run whose chunks hold random features: the photos, a method from the same distribution, a shifted one."""
    wanted = plan(folder / "images", count, (PROTOCOL,))
    (item,) = sets_of(PROTOCOL)
    rng = np.random.default_rng(0)
    (folder / "run" / "chunks").mkdir(parents=True)
    for number, rows in enumerate(wanted.chunks):
        arrays = {
            f"{item.key}/{name}": (rng.normal(size=(len(rows), 6)) + shift).astype(np.float32)
            for name, shift in (("", 0), ("a", 0), ("b", 3))
        }
        Chunk([], arrays, {}, {}).write(chunk_path(folder / "run", number))
    return wanted, folder / "run"


def test_every_method_has_a_curve_that_ends_at_the_distance_of_the_table(tmp_path):
    wanted, run_dir = run_with_features(tmp_path, 40)
    evaluation = summarise(wanted, run_dir, data="t")
    table = {r.method: r.value for r in evaluation.results if r.metric == "fd_effnet_lite0"}
    assert [curve.method for curve in evaluation.curves] == ["a", "b"]
    for curve in evaluation.curves:
        assert (curve.protocol, curve.metric, curve.region) == (PROTOCOL.stamp, "fd_effnet_lite0", "all")
        assert (curve.n[0], curve.n[-1]) == (10, 40)
        assert curve.distance[-1] == pytest.approx(table[curve.method])
        assert curve.extrapolated < curve.distance[-1] < curve.distance[0]


def test_curves_are_written_and_read_back(tmp_path):
    wanted, run_dir = run_with_features(tmp_path, 24)
    evaluation = summarise(wanted, run_dir, data="t")
    write_evaluation(evaluation, run_dir)
    assert read_evaluation(run_dir).curves == evaluation.curves


def test_too_few_pairs_for_an_interval_have_no_curve(tmp_path):
    assert list(bias_curves(*run_with_features(tmp_path, 19))) == []
