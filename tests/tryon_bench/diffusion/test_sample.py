"""`sample` over a data set, from the command line to an evaluation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from tryon_bench._shared.io.images import read_image, read_mask
from tryon_bench.data.sample import Dataset
from tryon_bench.diffusion.compose import compose

Cli = Callable[..., Result]


def _sample(run_cli: Cli, data: Path, run: Path, out: Path, *more: object) -> Result:
    return run_cli("sample", data, "--model", run, "--out", out, "--steps", 3, "--device", "cpu", "--quiet", *more)


@pytest.fixture(scope="module")
def results(run_cli: Cli, data: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sampled") / "results"
    done = _sample(run_cli, data, run, out, "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["made"], document["pairs"]) == (4, 4)
    assert document["note"].startswith("tiny random-weight base")
    return out


def test_manifest_says_what_was_made_and_how(results: Path, dataset: Dataset) -> None:
    told = json.loads((results / "run.json").read_text())
    assert told["method"] == "controlnet-pbe"
    assert len(told["version"]) == 64
    expected = {"scheduler": "ddim", "steps": 3, "guidance": 1.0, "compose": "paste", "size": [32, 24], "seed": 0}
    assert expected.items() <= told.items()
    assert "pair_id" in told["seed_rule"]
    rows = [json.loads(line) for line in (results / "manifest.jsonl").read_text().splitlines()]
    assert [row["pair_id"] for row in rows] == [s.pair_id for s in dataset.samples]


def test_pasted_results_are_the_photo_where_nothing_is_repainted(results: Path, dataset: Dataset) -> None:
    for sample in dataset.samples:
        assert sample.agnostic_mask is not None
        photo = read_image(sample.person).array
        made = read_image(results / f"{sample.pair_id}.png").array
        repaint = read_mask(sample.agnostic_mask, binary=True).array.astype(bool)
        changed = (made != photo).any(axis=2)
        assert changed.any()
        assert not (changed & ~repaint & ~_worn(sample, repaint)).any()


def _worn(sample: object, repaint: np.ndarray) -> np.ndarray:
    from tryon_bench.data.sample import parse_mask

    return parse_mask(sample)  # type: ignore[arg-type]


def test_resumed_run_makes_only_what_is_missing(
    run_cli: Cli, data: Path, run: Path, results: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert _sample(run_cli, data, run, out).exit_code == 0
    lost = sorted(out.glob("*.png"))[1]
    before = lost.read_bytes()
    lost.unlink()
    refused = _sample(run_cli, data, run, out)
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    again = _sample(run_cli, data, run, out, "--resume", "--json", "--batch-size", 1)
    assert json.loads(again.stdout)["made"] == 1
    difference = read_image(lost).array.astype(int) - read_image(results / lost.name).array
    assert abs(difference).max() <= 1  # another batch size: rounding
    assert lost.read_bytes() == before or abs(difference).max() == 1
    other = _sample(run_cli, data, run, out, "--resume", "--guidance", 2)
    assert other.exit_code == 2
    assert "holds another run (guidance 1.0, now 2.0)" in other.stderr


def test_parts_of_several_processes_are_the_whole(
    run_cli: Cli, data: Path, run: Path, results: Path, tmp_path: Path
) -> None:
    for part in ("1/2", "2/2"):
        done = _sample(run_cli, data, run, tmp_path / "out", "--shard", part, "--batch-size", 1, "--json")
        assert json.loads(done.stdout)["made"] == 2
        assert (tmp_path / "out" / "manifest.jsonl").exists() == (part == "2/2")
    for path in results.glob("*.png"):
        difference = read_image(path).array.astype(int) - read_image(tmp_path / "out" / path.name).array
        assert abs(difference).max() <= 1


@pytest.mark.slow
def test_processes_of_torchrun_share_the_work(data: Path, run: Path, results: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    sample = ["-m", "tryon_bench", "sample", data, "--model", run, "--out", tmp_path, "--steps", "3", "--quiet"]
    subprocess.run(
        [*launch, *map(str, sample), "--device=cpu"],
        check=True,
        timeout=220,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (tmp_path / "manifest.jsonl").read_bytes() == (results / "manifest.jsonl").read_bytes()
    for path in results.glob("*.png"):
        difference = read_image(path).array.astype(int) - read_image(tmp_path / path.name).array
        assert abs(difference).max() <= 1


def test_a_strength_without_a_start_is_refused(run_cli: Cli, data: Path, run: Path, tmp_path: Path) -> None:
    refused = _sample(run_cli, data, run, tmp_path / "out", "--strength", 0.5)
    assert refused.exit_code == 2
    assert "--strength goes with --start" in refused.stderr


def test_coarse_results_are_a_start(run_cli: Cli, data: Path, run: Path, tmp_path: Path) -> None:
    assert run_cli("run", "mean_fill", data, "--out", tmp_path / "coarse", "--quiet").exit_code == 0
    done = _sample(
        run_cli,
        data,
        run,
        tmp_path / "out",
        "--start",
        tmp_path / "coarse",
        "--strength",
        0.5,
        "--scheduler",
        "unipc",
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads((tmp_path / "out" / "run.json").read_text())["start"] == "coarse"


def test_unpaired_results_are_evaluated_and_the_table_says_what_they_are(
    run_cli: Cli, data: Path, run: Path, tmp_path: Path
) -> None:
    unpaired = ("--setting", "unpaired", "--quiet")
    made = _sample(run_cli, data, run, tmp_path / "pbe", "--setting", "unpaired", "--compose", "poisson")
    assert made.exit_code == 0, made.stderr
    assert run_cli("run", "mean_fill", data, "--out", tmp_path / "fill", *unpaired).exit_code == 0
    protocol = tmp_path / "cheap.toml"
    protocol.write_text('name = "cheap"\nlpips = []\ncolour = true\nregions = ["all", "person"]\n')
    results = [part for name in ("pbe", "fill") for part in ("--pred", f"{name}={tmp_path / name}")]
    scored = run_cli("evaluate", data, *results, "--protocol", protocol, "--run-dir", tmp_path / "run", *unpaired)
    assert scored.exit_code == 0, scored.stderr
    table = run_cli("report", tmp_path / "run", "--table", "markdown")
    assert "pbe: tiny random-weight base, trained on 4 pairs" in table.stdout
    assert "fill:" not in table.stdout


def test_folder_that_is_no_model_is_refused(run_cli: Cli, data: Path, tmp_path: Path) -> None:
    done = _sample(run_cli, data, tmp_path, tmp_path / "out")
    assert done.exit_code == 4
    assert "give the --run-dir of a finished train-pbe" in done.stderr


def test_modes_of_composition_differ_at_the_edge_only() -> None:
    photo, generated = np.full((50, 40, 3), 50, np.uint8), np.full((50, 40, 3), 200, np.uint8)
    repaint = np.zeros((50, 40), bool)
    repaint[20:30, 15:25] = True
    assert np.array_equal(compose(generated, photo, repaint, "none"), generated)
    pasted = compose(generated, photo, repaint, "paste")
    assert (pasted[repaint] == 200).all()
    assert (pasted[~repaint] == 50).all()
    soft = compose(generated, photo, repaint, "feather")
    assert soft[25, 20, 0] > 190
    assert 50 < soft[25, 15, 0] < 200
    assert soft[25, 5, 0] == 50
    light = compose(generated, photo, repaint, "poisson")
    assert (light == 50).all()  # a flat piece takes the photo's light
    assert np.array_equal(compose(photo, photo, repaint, "poisson"), photo)


def test_train_pbe_command_writes_a_run(run_cli: Cli, data: Path, tmp_path: Path) -> None:
    settings = ["frame.height_px=32", "frame.width_px=24"]
    settings += [f"{stage}.batch_size=4" for stage in ("train", "tiny_base.vae", "tiny_base.joint")]
    settings += [f"tiny_base.{stage}.max_steps=1" for stage in ("vae", "joint")]
    options = [part for setting in settings for part in ("--set", setting)]
    done = run_cli(
        "train-pbe", data, "--recipe", "tiny", "--run-dir", tmp_path / "run", *options, "--steps", 1, "--quiet",
        "--device", "cpu", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["step"], document["pairs"]) == (1, 4)
    assert (tmp_path / "run" / "controlnet" / "config.json").is_file()


def test_size_that_does_not_fit_is_refused_before_any_training(run_cli: Cli, data: Path, tmp_path: Path) -> None:
    done = run_cli(
        "train-pbe",
        data,
        "--recipe",
        "tiny",
        "--run-dir",
        tmp_path / "run",
        "--set",
        "frame.width_px=50",
        "--quiet",
    )
    assert done.exit_code == 2
    assert "expected multiples of 4" in done.stderr
    assert not (tmp_path / "run" / "base").exists()
