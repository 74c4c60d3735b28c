"""Baselines do what they say, in the expected order; programs of the user; runs resume and refuse what they must."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from tryon_bench._shared.errors import ConfigError, DataError
from tryon_bench._shared.io.images import read_image, write_png
from tryon_bench.data.open import open_dataset
from tryon_bench.data.sample import Dataset, clothing_mask
from tryon_bench.methods.baselines import box_map
from tryon_bench.methods.catalogue import get_method, method_ids, registered
from tryon_bench.methods.conditions import conditions_of
from tryon_bench.methods.contour import contour_spline, outline
from tryon_bench.methods.external import CommandMethod, chosen_method
from tryon_bench.methods.known import read_known_warp
from tryon_bench.methods.run import run_method
from tryon_bench.metrics import end_point_error
from tryon_bench.synth.write import write_synthetic
from tryon_bench.tps import dense_map

Run = Callable[..., Result]
FILLS = ("identity", "oracle", "mean_fill", "diffuse_inpaint")
WARPS = ("copy_paste", "affine", "tps_contour", "tps_keypoints", "flow", "oracle_warp")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("methods") / "set"
    write_synthetic("vitonhd", root, cases=6, size=(160, 120))
    return root


def results(root: Path, setting: str, method_id: str, out: Path) -> dict[str, np.ndarray]:
    dataset = open_dataset(root, setting=setting)  # type: ignore[arg-type]
    run_method(get_method(method_id), dataset, out, quiet=True)
    return {s.pair_id: read_image(out / f"{s.pair_id}.png").array for s in dataset.samples}


def test_the_baselines_are_registered() -> None:
    assert method_ids() == sorted([*FILLS, *WARPS])
    with pytest.raises(ConfigError, match="method 'gan' is unknown; choose one of affine"):
        get_method("gan")
    with pytest.raises(ConfigError, match="registered twice"):
        registered("identity")(lambda person, garment, conditions: person)


def test_identity_is_the_photo(root: Path, tmp_path: Path) -> None:
    found = results(root, "unpaired", "identity", tmp_path / "out")
    for sample in open_dataset(root, setting="unpaired").samples:
        np.testing.assert_array_equal(found[sample.pair_id], read_image(sample.person).array)


@pytest.mark.parametrize("method_id", ["mean_fill", "diffuse_inpaint", *WARPS])
def test_nothing_changes_outside_of_the_hole_and_everything_worn_is_gone(
    root: Path, method_id: str, tmp_path: Path
) -> None:
    found = results(root, "unpaired", method_id, tmp_path / "out")
    for sample in open_dataset(root, setting="unpaired").samples:
        person, garment = read_image(sample.person).array, read_image(sample.garment).array
        conditions = conditions_of(sample, person, garment, 0)
        result = found[sample.pair_id]
        np.testing.assert_array_equal(result[~conditions.hole], person[~conditions.hole])
        changed = (result != person).any(axis=2)[conditions.target & conditions.hole].mean()
        assert changed > 0.9


def test_mean_fill_is_one_colour_in_the_hole(root: Path, tmp_path: Path) -> None:
    found = results(root, "paired", "mean_fill", tmp_path / "out")
    sample = open_dataset(root).samples[0]
    person, garment = read_image(sample.person).array, read_image(sample.garment).array
    conditions = conditions_of(sample, person, garment, 0)
    colour = garment[conditions.garment_mask].mean(axis=0).round()
    assert (found[sample.pair_id][conditions.hole] == colour).all()


def test_matching_outlines_bends_the_garment_closer_to_the_truth_than_scaling_it(root: Path) -> None:
    """End-point error against the splines that dressed the synthetic persons, px of the garment's photo."""
    errors = {"tps_contour": [], "copy_paste": []}  # type: ignore[var-annotated]
    for sample in open_dataset(root).samples:
        person, garment = read_image(sample.person).array, read_image(sample.garment).array
        conditions = conditions_of(sample, person, garment, 0)
        assert conditions.known_warp is not None
        truth = dense_map(read_known_warp(conditions.known_warp), (160, 120))
        maps = {
            "tps_contour": dense_map(contour_spline(conditions), (160, 120)),
            "copy_paste": box_map(conditions),
        }
        for name, where in maps.items():
            errors[name].append(end_point_error(where, truth, conditions.target, (160, 120)))
    assert np.mean(errors["tps_contour"]) < 0.9 * np.mean(errors["copy_paste"])
    assert np.mean(errors["tps_contour"]) < 4


@pytest.mark.parametrize("setting", ["paired", "unpaired"])
def test_pasting_the_garment_is_closer_to_the_truth_than_its_mean_colour(
    root: Path, setting: str, tmp_path: Path
) -> None:
    dataset = open_dataset(root, setting=setting)  # type: ignore[arg-type]
    errors = {}
    for method_id in ("tps_contour", "copy_paste", "mean_fill"):
        found = results(root, setting, method_id, tmp_path / method_id)
        per_pair = []
        for sample in dataset.samples:
            truth = read_image(root / "oracle" / setting / f"{sample.pair_id}.png").array.astype(float)
            region = clothing_mask(replace(sample, setting="paired"))
            per_pair.append(np.abs(found[sample.pair_id] - truth)[region].mean())
        errors[method_id] = np.mean(per_pair)
    assert max(errors["tps_contour"], errors["copy_paste"]) < errors["mean_fill"]


def test_an_outline_starts_at_the_neck_and_meets_the_hem_corners() -> None:
    mask = np.zeros((60, 40), bool)
    mask[10:50, 8:32] = True
    points = outline(mask, 12, "a")
    assert points[0] == pytest.approx([0.5, 10 / 60], abs=0.02)
    assert points[4] == pytest.approx([32 / 40, 50 / 60], abs=0.03)  # clockwise: the right corner first
    assert points[8] == pytest.approx([8 / 40, 50 / 60], abs=0.03)
    with pytest.raises(DataError, match="has no outline"):
        outline(np.zeros((60, 40), bool), 12, "a")


def test_conditions_are_made_from_what_is_there(root: Path) -> None:
    sample = open_dataset(root).samples[0]
    person, garment = read_image(sample.person).array, read_image(sample.garment).array
    whole = conditions_of(sample, person, garment, 0)
    assert (whole.target <= whole.repaint).all()
    assert whole.keypoints is not None
    bare = conditions_of(
        replace(sample, agnostic_mask=None, garment_mask=None, keypoints=None), person, garment, 0
    )
    assert (bare.target <= bare.repaint).all()
    assert (bare.garment_mask == whole.garment_mask).mean() > 0.98  # told from the white around it
    assert bare.keypoints is None
    only_mask = conditions_of(replace(sample, parse=None), person, garment, 0)
    assert (only_mask.target == only_mask.repaint).all()
    with pytest.raises(DataError, match="neither parse nor agnostic mask"):
        conditions_of(replace(sample, parse=None, agnostic_mask=None), person, garment, 0)
    assert conditions_of(sample, person, garment, 1).seed != whole.seed


def one_pair(root: Path) -> Dataset:
    dataset = open_dataset(root)
    return replace(dataset, samples=dataset.samples[:1])


def script(tmp_path: Path, body: str) -> str:
    (tmp_path / "method.py").write_text(body)
    return f"{shlex.quote(sys.executable)} {tmp_path / 'method.py'} {{person}} {{garment}} {{out}}"


def test_a_program_of_the_user_is_a_method(root: Path, tmp_path: Path) -> None:
    command = script(tmp_path, "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[3])")
    dataset = one_pair(root)
    assert run_method(chosen_method("command", command), dataset, tmp_path / "out", quiet=True) == 1
    sample = dataset.samples[0]
    np.testing.assert_array_equal(
        read_image(tmp_path / "out" / f"{sample.pair_id}.png").array, read_image(sample.person).array
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import sys; sys.exit('no GPU here')", "exit code 1: no GPU here"),
        ("pass", "left no {out} file"),
        ("import shutil, sys; shutil.copy(sys.argv[0], sys.argv[3])", "cannot be decoded"),
        (
            "import sys; from PIL import Image; Image.new('RGB', (8, 8)).save(sys.argv[3])",
            r"made an image of \(8, 8, 3\) uint8, expected that of the person, \(160, 120, 3\)",
        ),
    ],
)
def test_a_program_that_fails_is_one_clear_line(root: Path, body: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        run_method(CommandMethod(script(tmp_path, body)), one_pair(root), tmp_path / "out", quiet=True)


def test_a_program_that_hangs_is_given_up(root: Path, tmp_path: Path) -> None:
    method = CommandMethod(script(tmp_path, "import time; time.sleep(60)"), timeout_s=0.5)
    with pytest.raises(DataError, match=r"took more than 0\.5 s"):
        run_method(method, one_pair(root), tmp_path / "out", quiet=True)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("run {person}", "expected at least the fields"),
        ("run {person} {garment} {out} 'open", "No closing quotation"),
        ("no-such-program {person} {garment} {out}", "no program 'no-such-program'"),
        ("true {person} {garment} {out} {depth}", "no depth for"),
    ],
)
def test_a_wrong_command_line_is_refused(root: Path, command: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        run_method(CommandMethod(command), one_pair(root), tmp_path / "out", quiet=True)


def test_a_run_resumes_what_is_missing_and_refuses_another_one(root: Path, tmp_path: Path) -> None:
    dataset = open_dataset(root)
    method = get_method("mean_fill")
    assert run_method(method, dataset, tmp_path / "out", quiet=True) == 6
    manifest = (tmp_path / "out" / "manifest.jsonl").read_text()
    (tmp_path / "out" / f"{dataset.samples[2].pair_id}.png").unlink()
    with pytest.raises(ConfigError, match="continue it with --resume"):
        run_method(method, dataset, tmp_path / "out", quiet=True)
    assert run_method(method, dataset, tmp_path / "out", resume=True, quiet=True) == 1
    assert (tmp_path / "out" / "manifest.jsonl").read_text() == manifest
    with pytest.raises(ConfigError, match="holds another run"):
        run_method(get_method("identity"), dataset, tmp_path / "out", resume=True, quiet=True)
    for content in ("", "[1]", "null"):
        (tmp_path / "out" / "run.json").write_text(content)
        with pytest.raises(ConfigError, match=r"out/run\.json: damaged; choose another folder"):
            run_method(method, dataset, tmp_path / "out", resume=True, quiet=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.png").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"holds images but no run\.json"):
        run_method(method, dataset, tmp_path / "other", quiet=True)


def test_a_run_is_not_resumed_on_files_that_have_changed(tmp_path: Path) -> None:
    for seed, name in ((0, "before"), (1, "after")):
        write_synthetic("vitonhd", tmp_path / name, cases=2, size=(63, 47), seed=seed)
    before, after = (open_dataset(tmp_path / name) for name in ("before", "after"))
    assert before.list_hash == after.list_hash  # the names are the same
    assert run_method(get_method("copy_paste"), before, tmp_path / "out", quiet=True) == 2
    next((tmp_path / "out").glob("*.png")).unlink()
    with pytest.raises(ConfigError, match="files of the data set have changed since this run"):
        run_method(get_method("copy_paste"), after, tmp_path / "out", resume=True, quiet=True)
    shutil.move(tmp_path / "before", tmp_path / "moved")
    moved = open_dataset(tmp_path / "moved")
    assert run_method(get_method("copy_paste"), moved, tmp_path / "out", resume=True, quiet=True) == 1


@pytest.mark.parametrize(
    ("method_id", "note"),
    [
        ("oracle", "the answer itself, no method"),
        ("identity", "the photo as it is, which in the paired setting is the answer"),
        ("oracle_warp", "bends the garment by the true warp, which no method knows"),
        ("tps_contour", None),
    ],
)
def test_what_knows_the_answer_says_so_beside_its_numbers(
    root: Path, method_id: str, note: str | None, tmp_path: Path
) -> None:
    run_method(get_method(method_id), one_pair(root), tmp_path / "out", quiet=True)
    assert json.loads((tmp_path / "out" / "run.json").read_text()).get("note") == note


def test_a_leaderboard_tells_oracles_from_methods(root: Path, tmp_path: Path, run_cli: Run) -> None:
    for name in ("oracle_warp", "copy_paste"):
        run_method(get_method(name), open_dataset(root), tmp_path / name, quiet=True)
    predictions = [f"best={tmp_path / 'oracle_warp'}", f"paste={tmp_path / 'copy_paste'}"]
    predictions.append(f"truth={root / 'oracle' / 'paired'}")
    arguments = [part for prediction in predictions for part in ("--pred", prediction)]
    fast = tmp_path / "fast.toml"
    fast.write_text(
        'extends = "tryon-bench-1"\nname = "fast"\nlpips = []\ngarment_similarity = false\nfd_effnet_lite0 = false\n'
    )
    found = run_cli("evaluate", root, *arguments, "--run-dir", tmp_path / "score", "--protocol", fast, "--quiet")
    assert found.exit_code == 0, found.stderr
    page = run_cli("report", tmp_path / "score", "--table", "markdown").stdout
    assert "best: bends the garment by the true warp, which no method knows" in page
    assert "truth: the answer itself, no method" in page
    assert "paste:" not in page


def test_an_empty_garment_is_refused_by_whatever_bends_it(root: Path) -> None:
    sample = open_dataset(root).samples[0]
    person, garment = read_image(sample.person).array, read_image(sample.garment).array
    conditions = conditions_of(sample, person, garment, 0)
    empty = replace(conditions, garment_mask=np.zeros_like(conditions.garment_mask))
    for method_id in ("mean_fill", *WARPS):
        with pytest.raises(DataError, match=rf"^{sample.pair_id}: (?!{sample.pair_id})"):  # the pair is named once
            get_method(method_id)(person, garment, empty)
    everywhere = replace(conditions, repaint=np.ones_like(conditions.repaint), keep=np.zeros_like(conditions.keep))
    with pytest.raises(DataError, match="everything may be repainted; is the agnostic mask inverted"):
        get_method("diffuse_inpaint")(person, garment, everywhere)


def test_masks_of_another_size_or_without_a_place_are_one_clear_line(root: Path, tmp_path: Path) -> None:
    sample = open_dataset(root).samples[0]
    person, garment = read_image(sample.person).array, read_image(sample.garment).array
    write_png(tmp_path / "small.png", np.zeros((10, 10), np.uint8))
    for role in ("parse", "agnostic_mask"):
        with pytest.raises(DataError, match=r"small\.png: \(10, 10\), the photo of .* has \(160, 120\)"):
            conditions_of(replace(sample, **{role: tmp_path / "small.png"}), person, garment, 0)
    write_png(tmp_path / "empty.png", np.zeros((160, 120), np.uint8))
    with pytest.raises(DataError, match="neither the parse shows a garment of its category nor the agnostic mask"):
        conditions_of(replace(sample, parse=None, agnostic_mask=tmp_path / "empty.png"), person, garment, 0)


def test_run_from_the_command_line_and_its_results_are_found(root: Path, tmp_path: Path, run_cli: Run) -> None:
    arguments = ("run", "copy_paste", root, "--out", tmp_path / "out", "--setting", "unpaired", "--quiet")
    assert json.loads(run_cli(*arguments, "--json").stdout)["made"] == 6
    assert run_cli(*arguments, "--resume").stdout.startswith("0 results made")
    registered_ = ("register", root, "copy_paste", tmp_path / "out", "--methods", tmp_path / "methods.json")
    assert run_cli(*registered_, "--setting", "unpaired").exit_code == 0
    assert run_cli("run", "command", root, "--out", tmp_path / "b").exit_code == 2


def test_several_methods_run_at_once_and_each_takes_its_own_options(
    root: Path, tmp_path: Path, run_cli: Run
) -> None:
    arguments = ("run", "mean_fill,command", root, "--command", "cp {person} {out}", "--quiet", "--json")
    found = json.loads(run_cli(*arguments, "--out", tmp_path / "out").stdout)
    assert [(run["method"], run["made"], run["pairs"]) for run in found["runs"]] == [
        ("mean_fill", 6, 6),
        ("command", 6, 6),
    ]
    for names, message in {
        "mean_fill,mean_fill": "stands there twice",
        "mean_fill,": "method '' is unknown",
        "mean_fill,warp_net": "--checkpoint goes with",
        "mean_fill,command": "--command goes with",
    }.items():
        refused = run_cli("run", names, root, "--out", tmp_path / "none")
        assert (refused.exit_code, message in refused.stderr) == (2, True), refused.stderr
    assert not (tmp_path / "none").exists()


def test_several_methods_go_into_a_folder_each(root: Path, tmp_path: Path, run_cli: Run) -> None:
    several = run_cli("run", "mean_fill,copy_paste", root, "--out", tmp_path / "all", "--quiet", "--json")
    assert [run["method"] for run in json.loads(several.stdout)["runs"]] == ["mean_fill", "copy_paste"]
    run_cli("run", "copy_paste", root, "--out", tmp_path / "one", "--quiet")
    one, other = (sorted((tmp_path / name).glob("*.png")) for name in ("one", "all/copy_paste"))
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in other] != []
    assert run_cli("run", "mean_fill,nothing", root, "--out", tmp_path / "none").exit_code == 2
    assert not (tmp_path / "none").exists()
