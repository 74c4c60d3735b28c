"""Synthetic data sets: deterministic, quick, with a truth that reproduces them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from tryon_bench._shared.errors import ConfigError
from tryon_bench._shared.io.images import read_image, read_mask
from tryon_bench.data.open import FORMATS, open_dataset
from tryon_bench.synth.cast import draw_actor
from tryon_bench.synth.write import write_synthetic
from tryon_bench.tps import ThinPlateSpline, dense_map, sample

Run = Callable[..., Result]


def content(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_same_seed_gives_the_same_files(fmt: str, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_synthetic(fmt, tmp_path / name, cases=6, size=(32, 24), seed=seed)
    a, b, c = (content(tmp_path / name) for name in "abc")
    images = [name for name in a if name.endswith((".jpg", ".png"))]
    assert {name: a[name] for name in images} == {name: b[name] for name in images}
    assert a != c


def test_an_actor_does_not_depend_on_the_rest_of_the_cast(tmp_path: Path) -> None:
    for cases in (2, 4):
        write_synthetic("vitonhd", tmp_path / str(cases), cases=cases)
    two, four = (content(tmp_path / str(cases)) for cases in (2, 4))
    assert two["test/image/00002_00.jpg"] == four["test/image/00002_00.jpg"]


def test_eight_persons_take_less_than_two_seconds(tmp_path: Path) -> None:
    start = time.process_time()
    write_synthetic("vitonhd", tmp_path / "set", cases=8, size=(64, 48))
    assert time.process_time() - start < 2


def test_the_saved_spline_puts_the_garment_on_the_person(tmp_path: Path) -> None:
    write_synthetic("vitonhd", tmp_path / "set", cases=2, size=(128, 96))
    row = open_dataset(tmp_path / "set").samples[0]
    truth = np.load(tmp_path / "set" / "warp_gt" / "00001_00.npz")
    spline = ThinPlateSpline(truth["targets"], truth["weights"], truth["affine"])
    np.testing.assert_allclose(spline(truth["targets"]), truth["sources"])
    photo = read_image(row.person).array.astype(float)
    worn = sample(read_image(row.garment).array, dense_map(spline, (128, 96)), 255).astype(float)
    assert row.parse is not None
    inside = read_mask(row.parse, binary=False).array == 5
    assert np.corrcoef(worn[inside].ravel(), photo[inside].ravel())[0, 1] > 0.95  # shading and JPEG remain


def test_the_oracle_of_the_unpaired_setting_changes_the_garment_only(tmp_path: Path) -> None:
    write_synthetic("vitonhd", tmp_path / "set", cases=3, size=(96, 72))
    actor, other = draw_actor(1, (96, 72), 0), draw_actor(2, (96, 72), 0)
    own, exchanged = actor.photo(), actor.photo(other.garment)
    saved = read_image(tmp_path / "set" / "oracle" / "unpaired" / "00001_00__00002_00.png").array
    np.testing.assert_array_equal(saved, exchanged.photo)
    outside = ~(own.garment_mask | exchanged.garment_mask)
    np.testing.assert_array_equal(saved[outside], own.photo[outside])
    assert (saved[own.garment_mask] != own.photo[own.garment_mask]).any()


def test_the_repaint_mask_covers_the_garment_and_spares_the_face() -> None:
    scene = draw_actor(3, (128, 96), 0).photo()
    assert not (scene.garment_mask & ~scene.repaint).any()
    assert not (scene.repaint & (scene.names == "face")).any()


def test_a_skirt_leaves_the_arms_and_what_is_around_them_alone() -> None:
    scenes = {category: draw_actor(2, (128, 96), 0, category).photo() for category in ("upper_body", "lower_body")}
    raised = {name: scene.names[:40] != "" for name, scene in scenes.items()}
    assert (scenes["upper_body"].repaint[:40] & raised["upper_body"]).any()
    assert not scenes["lower_body"].repaint[:40].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fmt": "coco"}, "format 'coco' is unknown"),
        ({"fmt": "dresscode", "cases": 5}, "needs at least 6"),
        ({"fmt": "vitonhd", "size": (24, 32)}, "expected HEIGHTxWIDTH, upright"),
        ({"fmt": "viton", "corrupt": True}, "--corrupt is for vitonhd"),
    ],
)
def test_wrong_wishes_are_refused_before_anything_is_written(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    fmt = str(options.pop("fmt"))
    with pytest.raises(ConfigError, match=message):
        write_synthetic(fmt, tmp_path / "set", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "set").exists()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not empty"):
        write_synthetic("vitonhd", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_synth_from_the_command_line(tmp_path: Path, run_cli: Run) -> None:
    result = run_cli("synth", "mpv", tmp_path / "set", "--cases", 2, "--size", "32x24", "--json")
    assert json.loads(result.stdout)["size"] == [32, 24]
    assert open_dataset(tmp_path / "set").format == "mpv"
    assert "expected HEIGHTxWIDTH" in run_cli("synth", "mpv", tmp_path / "b", "--size", "big").stderr
