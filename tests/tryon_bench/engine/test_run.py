"""A run resumes, shards to the same numbers, notices changed images, and keeps its memory."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.tryon_bench.evaluations import CHEAP, plan

from tryon_bench._shared.errors import ConfigError, DataError
from tryon_bench.engine import chunk as chunk_module
from tryon_bench.engine.evaluation import read_evaluation, summarise, write_evaluation
from tryon_bench.engine.run import chunk_path, run_plan
from tryon_bench.protocol.schema import Protocol

FEATURES = Protocol(name="features", lpips=(), fd_effnet_lite0=True)


def numbers(evaluation):
    return [(r.method, r.protocol, r.metric, r.region, r.value, r.low, r.high, r.n) for r in evaluation.results]


def test_shards_give_the_numbers_of_one_process(tmp_path):
    wanted = plan(tmp_path / "images", 11, (CHEAP, FEATURES), random_seed=0)
    run_plan(wanted, tmp_path / "one", quiet=True)
    for index in (2, 0, 1):
        run_plan(wanted, tmp_path / "three", shard=(index, 3), quiet=True)
    one, three = (summarise(wanted, tmp_path / name, data="t") for name in ("one", "three"))
    assert str(numbers(one)) == str(numbers(three))
    assert one.scores == three.scores


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_plan_file_is_named(tmp_path, text):
    wanted = plan(tmp_path / "images", 2)
    run_plan(wanted, tmp_path / "run", quiet=True)
    (tmp_path / "run" / "plan.json").write_text(text)
    with pytest.raises(DataError, match=r"run/plan\.json: damaged"):
        run_plan(wanted, tmp_path / "run", resume=True, quiet=True)


def test_a_resumed_run_scores_only_what_is_missing(tmp_path, monkeypatch):
    wanted = plan(tmp_path / "images")
    run_plan(wanted, tmp_path / "run", quiet=True)
    before = summarise(wanted, tmp_path / "run", data="t")
    chunk_path(tmp_path / "run", 1).unlink()
    seen = []
    score = chunk_module.score_chunk
    monkeypatch.setattr("tryon_bench.engine.run.score_chunk", lambda *args: seen.append(args[0]) or score(*args))
    run_plan(wanted, tmp_path / "run", resume=True, quiet=True)
    assert seen == [wanted.chunks[1]]
    assert summarise(wanted, tmp_path / "run", data="t").scores == before.scores


def test_a_killed_run_goes_on(tmp_path):
    script = textwrap.dedent(
        f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from evaluations import plan
        from tryon_bench.engine import run
        score, calls = run.score_chunk, []
        def dying(*args):
            calls.append(1)
            if len(calls) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return score(*args)
        run.score_chunk = dying
        run.run_plan(plan(Path({str(tmp_path / "images")!r})), Path({str(tmp_path / "run")!r}), quiet=True)
        """
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    wanted = plan(tmp_path / "images")
    assert sorted(p.name for p in (tmp_path / "run" / "chunks").glob("*.safetensors")) == ["000000.safetensors"]
    run_plan(wanted, tmp_path / "run", resume=True, quiet=True)
    run_plan(wanted, tmp_path / "whole", quiet=True)
    resumed, whole = (summarise(wanted, tmp_path / name, data="t") for name in ("run", "whole"))
    assert str(numbers(resumed)) == str(numbers(whole))


def test_a_changed_image_is_scored_again(tmp_path, caplog):
    wanted = plan(tmp_path / "images")
    run_plan(wanted, tmp_path / "run", quiet=True)
    before = summarise(wanted, tmp_path / "run", data="t")
    wanted.rows[0].predictions["a"].write_bytes(wanted.rows[0].reference.read_bytes())
    run_plan(wanted, tmp_path / "run", resume=True, quiet=True)
    after = summarise(wanted, tmp_path / "run", data="t")
    assert after.column("a", CHEAP.stamp, "ssim_rgb_gaussian_valid", "all")["p000"] == pytest.approx(1)
    assert before.column("b", CHEAP.stamp, "psnr", "all") == after.column("b", CHEAP.stamp, "psnr", "all")


def test_a_folder_of_another_evaluation_is_refused(tmp_path):
    wanted = plan(tmp_path / "images")
    run_plan(wanted, tmp_path / "run", quiet=True)
    with pytest.raises(ConfigError, match="continue it with --resume"):
        run_plan(wanted, tmp_path / "run", quiet=True)
    other = dataclasses.replace(wanted, protocols=(FEATURES,))
    with pytest.raises(ConfigError, match="holds another evaluation"):
        run_plan(other, tmp_path / "run", resume=True, quiet=True)


def test_a_missing_chunk_is_named_when_summing_up(tmp_path):
    wanted = plan(tmp_path / "images")
    run_plan(wanted, tmp_path / "run", shard=(0, 2), quiet=True)
    with pytest.raises(ConfigError, match="1 of 3 chunks are missing"):
        summarise(wanted, tmp_path / "run", data="t")


def test_a_damaged_chunk_is_named(tmp_path):
    wanted = plan(tmp_path / "images")
    run_plan(wanted, tmp_path / "run", quiet=True)
    path = chunk_path(tmp_path / "run", 0)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"000000\.safetensors: damaged"):
        summarise(wanted, tmp_path / "run", data="t")


def test_an_unreadable_image_stops_the_run_or_is_left_out_and_counted(tmp_path):
    wanted = plan(tmp_path / "images")
    wanted.rows[2].predictions["b"].write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b-2\.png: cannot be decoded"):
        run_plan(wanted, tmp_path / "strict", quiet=True)
    allowed = dataclasses.replace(wanted, allow=True)
    run_plan(allowed, tmp_path / "allowed", quiet=True)
    evaluation = summarise(allowed, tmp_path / "allowed", data="t")
    assert list(evaluation.excluded) == ["p002"]
    assert {result.n for result in evaluation.results} == {8}


def test_an_evaluation_is_read_back_as_it_was_written(tmp_path):
    wanted = plan(tmp_path / "images", 5, (CHEAP, FEATURES), random_seed=1)
    run_plan(wanted, tmp_path / "run", quiet=True)
    written = summarise(wanted, tmp_path / "run", data="list#1")
    write_evaluation(written, tmp_path / "run")
    read = read_evaluation(tmp_path / "run")
    assert str(numbers(read)) == str(numbers(written))
    assert read.scores == written.scores
    assert read.warning == "NOT COMPARABLE: random network weights"
    assert (
        (tmp_path / "run" / "samples.csv").read_text().startswith("pair_id,method,protocol,metric,region,value\n")
    )


def test_features_of_unchanged_images_come_from_the_cache(tmp_path, monkeypatch):
    wanted = plan(tmp_path / "images", 5, (FEATURES,), random_seed=0)
    run_plan(wanted, tmp_path / "first", cache=tmp_path / "cache", quiet=True)
    monkeypatch.setattr(
        "tryon_bench.networks.extractors.Extractor.__call__", lambda *_: pytest.fail("computed again")
    )
    run_plan(wanted, tmp_path / "second", cache=tmp_path / "cache", quiet=True)
    first, second = (summarise(wanted, tmp_path / name, data="t") for name in ("first", "second"))
    assert str(numbers(first)) == str(numbers(second))
