"""What a user's folder may look like, and where the results may lie; nothing is lost and nothing left out silently."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from tryon_bench._shared.errors import ConfigError, DataError
from tryon_bench.data.open import open_dataset
from tryon_bench.prepare.run import prepare_dataset
from tryon_bench.prepare.settings import Settings
from tryon_bench.synth.cast import draw_actor
from tryon_bench.synth.files import write_jpeg, write_labels, write_openpose, write_png
from tryon_bench.synth.write import write_synthetic

SIZE = (128, 96)
SETTINGS = Settings(height_px=128, width_px=96)


def write_source(root: Path, names: tuple[str, ...] = ("p1", "p2")) -> Path:
    for number, name in enumerate(names, start=1):
        actor = draw_actor(number, SIZE, 0)
        scene = actor.photo()
        write_png(root / "image" / f"{name}.png", scene.photo)
        write_labels(root / "image-parse" / f"{name}.png", scene.parse("vitonhd"))
        write_openpose(root / "openpose_json" / f"{name}_keypoints.json", actor.figure)
        write_jpeg(root / "cloth" / f"{name}.jpg", actor.garment.image)
    return root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "photos")


def prepare(source: Path, target: Path, *, resume: bool = False, folders: dict[str, str] | None = None) -> None:
    prepare_dataset(source, target, SETTINGS, workers=1, quiet=True, resume=resume, folders=folders)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_results_around_their_source_are_refused_and_untouched(source: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare(source, data)
    before = names(data)
    (data / "test" / "openpose_json" / "p1_keypoints.json").write_text("{}")  # would cost this photo
    with pytest.raises(ConfigError, match="data: the source folder test lies in it"):
        prepare(data / "test", data, resume=True)
    assert names(data) == before
    with pytest.raises(ConfigError, match="photos: lies in the source folder"):
        prepare(source, source)


def test_a_role_that_is_gone_takes_its_old_files_with_it(source: Path, tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        parts = np.zeros(SIZE, np.uint8)
        parts[30:90, 30:60] = 2
        write_png(source / "image-densepose" / f"{name}.png", parts)
    prepare(source, tmp_path / "data")
    (source / "image-densepose" / "p1.png").unlink()
    prepare(source, tmp_path / "data", resume=True)
    densepose = tmp_path / "data" / "test" / "image-densepose"
    assert [path.name for path in densepose.iterdir()] == ["p2.jpg"]
    prepare(source, tmp_path / "whole")
    assert names(tmp_path / "data") == names(tmp_path / "whole")


def test_suffixes_in_capitals_are_found(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "small")
    for path in [path for path in source.rglob("p1*") if path.is_file()]:
        path.rename(path.with_suffix(path.suffix.upper()))
    prepare(source, tmp_path / "large")
    assert names(tmp_path / "small") == names(tmp_path / "large")


@pytest.mark.parametrize("name", ["プ\u3000ロ {} é%s", "my\u00a0photo", "a.b"])
def test_any_name_that_a_list_can_hold_is_paired(name: str, tmp_path: Path) -> None:
    prepare(write_source(tmp_path / "photos", (name, "p2")), tmp_path / "data")
    for setting in ("paired", "unpaired"):
        assert {s.person.stem for s in open_dataset(tmp_path / "data", setting=setting).samples} == {name, "p2"}


@pytest.mark.parametrize("name", ["a\tb", " a", "a\\b", "a\nb"])
def test_other_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image/: .* cannot stand in a list of pairs; rename it"):
        prepare(write_source(tmp_path / "photos", (name, "p2")), tmp_path / "data")


def test_a_named_folder_that_is_not_there_is_no_missing_parse(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--folder parse=seg: no such folder in photos/"):
        prepare(source, tmp_path / "data", folders={"parse": "seg"})


def without_joints(source: Path) -> None:
    path = source / "openpose_json" / "p2_keypoints.json"
    people = json.loads(path.read_text())["people"]
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": [0.0] * 75}, *people]}))


def without_shoulders(source: Path) -> None:
    path = source / "openpose_json" / "p2_keypoints.json"
    numbers = np.array(json.loads(path.read_text())["people"][0]["pose_keypoints_2d"]).reshape(25, 3)
    numbers[[1, 2, 5]] = 0
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": numbers.ravel().tolist()}]}))


def with_an_empty_mask(source: Path) -> None:
    write_png(source / "cloth-mask" / "p2.png", np.zeros(draw_actor(2, SIZE, 0).garment.image.shape[:2], np.uint8))


def with_a_mask_of_another_size(source: Path) -> None:
    write_png(source / "cloth-mask" / "p2.png", np.full((10, 10), 255, np.uint8))


def with_a_white_garment(source: Path) -> None:
    photo = np.full((128, 96, 3), 250, np.uint8)
    photo[40:46, 40:46] = 20  # its label
    write_jpeg(source / "cloth" / "p2.jpg", photo)


def with_a_gray_background(source: Path) -> None:
    photo = np.full((128, 96, 3), 200, np.uint8)
    photo[20:100, 20:80] = 20
    write_jpeg(source / "cloth" / "p2.jpg", photo)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_joints, r"p2_keypoints\.json: all joints of the first person are missing"),
        (without_shoulders, r"p2: pose: shoulders are missing"),
        (with_an_empty_mask, r"p2\.png: the mask is empty"),
        (with_a_mask_of_another_size, r"p2\.png: \(10, 10\), the garment has \(128, 96\) \(H, W\)"),
        (with_a_white_garment, r"p2\.jpg: no garment found on white \(0\.\d% of the photo is darker\)"),
        (with_a_gray_background, r"p2\.jpg: the background is not white"),
    ],
)
def test_the_file_is_named(damage: Callable[[Path], None], message: str, source: Path, tmp_path: Path) -> None:
    damage(source)
    with pytest.raises(DataError, match=f"1 of 4 files could not be prepared; the first: {message}"):
        prepare(source, tmp_path / "data")


def test_labels_of_another_scheme_are_noticed(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    source = write_source(tmp_path / "photos")
    for number in (1, 2):
        labels = draw_actor(number, SIZE, 0).photo().parse("atr")
        write_labels(source / "image-parse" / f"p{number}.png", labels)
    common = ("prepare", source, "--size", "128x96", "--quiet")
    wrong, right = (run_cli(*common, tmp_path / name, "--parse-scheme", name) for name in ("vitonhd", "atr"))
    assert "2 photos show hardly an upper garment between shoulders and hips" in wrong.stdout
    assert "is --parse-scheme vitonhd right?" in wrong.stdout
    assert "hardly" not in right.stdout
    assert json.loads((tmp_path / "vitonhd" / "prepare_test.json").read_text())["photos_without_top"] == 2


@pytest.mark.parametrize("name", ["p3.heic", "p3.gif"])
def test_a_photo_in_another_format_is_named_and_not_passed_over(name: str, source: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(source / "image" / name, format="GIF")
    with pytest.raises(DataError, match=rf"the first: {name}: cannot be decoded; expected a whole PNG, JPEG"):
        prepare(source, tmp_path / "data")


def test_nothing_left_is_no_success_with_allow(source: Path, tmp_path: Path) -> None:
    for path in (source / "image-parse").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"2 of 4 files .* go on with --resume, no pair is left without them"):
        prepare_dataset(source, tmp_path / "data", SETTINGS, workers=1, quiet=True, allow=True)


def test_estimates_may_be_switched_on_later_but_not_off(source: Path, tmp_path: Path) -> None:
    def settings(*, estimate: bool, model: str) -> Settings:
        return Settings.model_validate({**SETTINGS.model_dump(), "estimate": estimate, "pose_model": model})

    prepare(source, tmp_path / "data")
    later = prepare_dataset(
        source, tmp_path / "data", settings(estimate=True, model="lite"), workers=1, quiet=True, resume=True
    )
    assert (later.made, later.kept) == (0, 4)
    for changed, message in (
        (settings(estimate=False, model="lite"), "prepared with estimate True, now False"),
        (settings(estimate=True, model="heavy"), "prepared with pose_model 'lite', now 'heavy'"),
    ):
        with pytest.raises(ConfigError, match=message):
            prepare_dataset(source, tmp_path / "data", changed, workers=1, quiet=True, resume=True)


def test_a_file_that_cannot_be_read_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("tryon_bench.prepare.run.sha256_file", refusing)
    with pytest.raises(DataError, match=r"the first: p1\.jpg: cannot be read \(Permission denied\)"):
        prepare(source, tmp_path / "data")


def test_a_synthetic_set_is_prepared_as_it_is(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    write_synthetic("vitonhd", tmp_path / "made", cases=3, size=SIZE)
    done = run_cli("prepare", tmp_path / "made", tmp_path / "data", "--size", "128x96", "--quiet")
    assert done.exit_code == 0, done.output
    assert done.stdout.rstrip().endswith(": 3 paired and 3 unpaired rows")
    rows = [open_dataset(tmp_path / name, setting="unpaired").samples for name in ("made", "data")]
    assert [s.pair_id for s in rows[0]] == [s.pair_id for s in rows[1]]
