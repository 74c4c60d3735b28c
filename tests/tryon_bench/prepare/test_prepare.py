"""A user's folder becomes a sound data set; damage is named, and what is done is never done twice or by halves."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from tryon_bench._shared.errors import ConfigError, DataError, ResourceError
from tryon_bench._shared.io.images import read_image, read_mask
from tryon_bench.data.keypoints import read_keypoints
from tryon_bench.data.open import open_dataset
from tryon_bench.persons import models
from tryon_bench.prepare.letterbox import Letterbox
from tryon_bench.prepare.run import prepare_dataset
from tryon_bench.prepare.settings import Settings
from tryon_bench.prepare.workers import over_processes
from tryon_bench.synth.cast import draw_actor
from tryon_bench.synth.files import write_jpeg, write_labels, write_openpose, write_png
from tryon_bench.synth.garments import real_photo
from tryon_bench.synth.write import write_synthetic

Run = Callable[..., Result]
SMALL = Settings(height_px=128, width_px=96, parse_scheme="atr")


def write_source(root: Path, count: int = 3, size: tuple[int, int] = (120, 100)) -> Path:
    """Photos that are not 4:3, parses in ATR's ids, BODY_25 keypoints, garments without masks."""
    for number in range(1, count + 1):
        actor = draw_actor(number, size, 0)
        scene = actor.photo()
        write_png(root / "image" / f"p{number}.png", scene.photo)
        write_labels(root / "image-parse" / f"p{number}.png", scene.parse("atr"))
        write_openpose(root / "openpose_json" / f"p{number}_keypoints.json", actor.figure)
        write_jpeg(root / "cloth" / f"p{number}.jpg", actor.garment.image)
    return root


def prepare(source: Path, target: Path, settings: Settings = SMALL, **options: Any) -> Any:
    return prepare_dataset(source, target, settings, **{"workers": 1, "quiet": True, **options})


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".prepare.lock"]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "photos")


def test_the_result_is_sound_and_runs(source: Path, tmp_path: Path, run_cli: Run) -> None:
    out = tmp_path / "data"
    done = run_cli(
        "prepare", source, out, "--size", "128x96", "--parse-scheme", "atr", "--workers", 1, "--json", "--quiet"
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["made"] == 6
    for setting in ("paired", "unpaired"):
        doctor = run_cli("doctor", out, "--setting", setting)
        assert (doctor.exit_code, doctor.stdout.splitlines()[-1]) == (0, "0 errors, 0 warnings"), doctor.output
    assert run_cli("run", "tps_contour", out, "--out", tmp_path / "results", "--quiet").exit_code == 0
    (sample, *_) = open_dataset(out, setting="unpaired").samples
    assert None not in (sample.parse, sample.garment_mask, sample.agnostic_mask, sample.agnostic, sample.keypoints)
    assert (sample.person.name, sample.garment.name) == ("p1.jpg", "p2.jpg")


def test_everything_lies_on_one_canvas_with_the_photos_shape_kept(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "data")
    folder, box = tmp_path / "data" / "test", Letterbox((120, 100), (128, 96))
    assert box.inner == (115, 96)
    for path in (folder / "image" / "p1.jpg", folder / "image-parse-v3" / "p1.png"):
        assert read_image(path).array.shape[:2] == (128, 96)
    agnostic = read_mask(folder / "agnostic-mask" / "p1_mask.png", binary=True).array.astype(bool)
    assert agnostic.any()
    assert not (agnostic & ~box.inside()).any()
    image, gray = (read_image(folder / name / "p1.jpg").array for name in ("image", "agnostic-v3.2"))
    assert np.abs(gray[agnostic].astype(int) - 128).mean() < 8
    assert np.abs(gray[~agnostic].astype(int) - image[~agnostic]).mean() < 8
    before = read_keypoints(source / "openpose_json" / "p1_keypoints.json", (120, 100))
    after = read_keypoints(folder / "openpose_json" / "p1_keypoints.json", (128, 96))
    np.testing.assert_allclose(after[:, :2], box.points(before)[:, :2], atol=0.002)


@pytest.mark.parametrize(("padding", "value"), [("white", 255), ("gray", 128)])
def test_padding_has_the_colour_that_was_asked_for(padding: str, value: int) -> None:
    box = Letterbox((100, 100), (128, 96))
    canvas = box.photo(np.zeros((100, 100, 3), np.uint8), padding)
    assert (canvas[~box.inside()] == value).all()
    assert not canvas[box.inside()].any()
    edge = box.photo(np.full((100, 100, 3), 7, np.uint8), "edge")
    assert (edge == 7).all()


def test_label_ids_become_those_of_vitonhd(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "data")
    ours = read_mask(tmp_path / "data" / "test" / "image-parse-v3" / "p1.png", binary=False).array
    hidden = read_mask(tmp_path / "data" / "test" / "image-parse-agnostic-v3.2" / "p1.png", binary=False).array
    assert {5, 9, 13} <= set(np.unique(ours).tolist())  # top, trousers, face
    assert not np.isin(hidden, [5, 6, 7, 10]).any()


def test_only_what_changed_is_made_again(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    prepare(source, out)
    first = contents(out)
    again = prepare(source, out, resume=True)
    assert (again.made, again.kept) == (0, 6)
    assert contents(out) == first
    write_openpose(source / "openpose_json" / "p2_keypoints.json", draw_actor(5, (120, 100), 0).figure)
    (out / "test" / "cloth" / "p3.jpg").unlink()
    (source / "image" / "p1.png").unlink()
    changed = prepare(source, out, resume=True)
    assert (changed.made, changed.kept, changed.removed) == (2, 3, 1)
    now = contents(out)
    assert now["test/openpose_json/p2_keypoints.json"] != first["test/openpose_json/p2_keypoints.json"]
    assert now["test/cloth/p3.jpg"] == first["test/cloth/p3.jpg"]
    assert not [name for name in now if "cloth" not in name and "p1" in name]
    assert len(open_dataset(out).samples) == 2


def test_a_folder_is_continued_with_its_own_settings_only(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    prepare(source, out)
    with pytest.raises(ConfigError, match="data: was begun already; go on with --resume"):
        prepare(source, out)
    with pytest.raises(ConfigError, match=r"data: prepared with recipe 'hr-viton-v3\.2', now 'ootd'"):
        prepare(source, out, SMALL.model_copy(update={"recipe": "ootd"}), resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="full: not empty"):
        prepare(source, tmp_path / "full")
    with pytest.raises(ConfigError, match="inside: lies in the source folder"):
        prepare(source, source / "inside")


def test_both_splits_live_in_one_folder(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "data")
    prepare(source, tmp_path / "data", SMALL.model_copy(update={"split": "train"}))
    for split in ("test", "train"):
        assert len(open_dataset(tmp_path / "data", split=split).samples) == 3


def damage_truncated(source: Path) -> None:
    path = source / "image" / "p2.png"
    path.write_bytes(path.read_bytes()[:-900])


def damage_web_page(source: Path) -> None:
    (source / "image" / "p2.png").write_text("<html>404</html>")


def damage_alpha(source: Path) -> None:
    Image.fromarray(np.zeros((120, 100, 4), np.uint8)).save(source / "image" / "p2.png")


def damage_bits(source: Path) -> None:
    Image.fromarray(np.full((120, 100), 40_000, np.uint16)).save(source / "image" / "p2.png")


def damage_no_parse(source: Path) -> None:
    (source / "image-parse" / "p2.png").unlink()


def damage_parse_ids(source: Path) -> None:
    write_labels(source / "image-parse" / "p2.png", np.full((120, 100), 77, np.uint8))


def damage_parse_shape(source: Path) -> None:
    write_labels(source / "image-parse" / "p2.png", np.zeros((120, 60), np.uint8))


def damage_no_keypoints(source: Path) -> None:
    (source / "openpose_json" / "p2_keypoints.json").unlink()


def damage_keypoints(source: Path) -> None:
    (source / "openpose_json" / "p2_keypoints.json").write_text('{"people": [{"pose_keypoints_2d": [1, 2')


def damage_nobody(source: Path) -> None:
    (source / "openpose_json" / "p2_keypoints.json").write_text('{"people": []}')


def damage_far_keypoints(source: Path) -> None:
    numbers = [5000.0, 5000.0, 1.0] * 25
    (source / "openpose_json" / "p2_keypoints.json").write_text(
        json.dumps({"people": [{"pose_keypoints_2d": numbers}]})
    )


def damage_garment(source: Path) -> None:
    write_png(source / "cloth" / "p2.png", np.full((40, 30, 3), 255, np.uint8))
    (source / "cloth" / "p2.jpg").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_truncated, r"p2\.png: cannot be decoded"),
        (damage_web_page, r"p2\.png: cannot be decoded"),
        (damage_alpha, r"p2\.png: has an alpha channel"),
        (damage_bits, r"p2\.png: 16 bits per channel"),
        (damage_no_parse, r"p2\.png: no parse \(looked in image-parse-v3/, image-parse/"),
        (damage_parse_ids, r"p2\.png: label id 77; atr ends at 18"),
        (damage_parse_shape, r"p2\.png: 60 x 120 px, its photo has 100 x 120"),
        (damage_no_keypoints, r"p2\.png: no keypoints \(looked in openpose_json/"),
        (damage_keypoints, r"p2_keypoints\.json: not JSON"),
        (damage_nobody, r"p2_keypoints\.json: no person in it"),
        (damage_far_keypoints, r"p2_keypoints\.json: no joint lies in the photo \(100 x 120\)"),
        (damage_garment, r"p2\.png: no garment found on white"),
    ],
)
def test_damage_is_named_and_costs_nothing_else(
    damage: Callable[[Path], None], message: str, source: Path, tmp_path: Path
) -> None:
    damage(source)
    with pytest.raises(DataError, match=rf"1 of 6 files could not be prepared; the first: {message}"):
        prepare(source, tmp_path / "data")
    allowed = prepare(source, tmp_path / "data", allow=True, resume=True)
    assert (allowed.made, allowed.kept, len(allowed.failed)) == (0, 5, 1)
    assert allowed.pairs["paired"] == 2
    assert not list((tmp_path / "data").rglob(".tmp-*"))
    rows = open_dataset(tmp_path / "data").samples
    assert all(sample.person.is_file() and sample.garment.is_file() for sample in rows)


def test_a_repaired_file_is_prepared_at_last(source: Path, tmp_path: Path) -> None:
    good = (source / "image" / "p2.png").read_bytes()
    damage_truncated(source)
    with pytest.raises(DataError, match="--resume"):
        prepare(source, tmp_path / "data")
    (source / "image" / "p2.png").write_bytes(good)
    assert prepare(source, tmp_path / "data", resume=True).made == 1
    whole = prepare(source, tmp_path / "whole")
    assert whole.made == 6
    assert contents(tmp_path / "data") == contents(tmp_path / "whole")


def test_a_photo_is_turned_as_its_camera_says(source: Path, tmp_path: Path) -> None:
    upright = read_image(source / "image" / "p1.png").array
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright).copy()).save(source / "image" / "p1.jpg", exif=exif, quality=95)
    (source / "image" / "p1.png").unlink()
    prepare(source, tmp_path / "data")
    found = read_image(tmp_path / "data" / "test" / "image" / "p1.jpg").array.astype(int)
    box = Letterbox((120, 100), (128, 96))
    assert np.abs(found - box.photo(upright, "edge")).mean() < 8  # two JPEG steps
    assert np.abs(found - box.photo(upright[::-1].copy(), "edge")).mean() > 20


def test_a_full_disk_is_one_error_and_resumes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, real = [0], os.fsync

    def failing(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] > 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        with pytest.raises(ResourceError, match="no space is left"):
            prepare(source, tmp_path / "data")
    assert not list((tmp_path / "data").rglob(".tmp-*"))
    done = prepare(source, tmp_path / "data", resume=True)
    assert done.kept > 0
    prepare(source, tmp_path / "whole")
    assert contents(tmp_path / "data") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_leaves_no_process(tmp_path: Path) -> None:
    source, out = write_source(tmp_path / "photos", 24, (300, 240)), tmp_path / "data"
    settings = SMALL.model_copy(update={"height_px": 512, "width_px": 384})
    script = (
        "from pathlib import Path; from tryon_bench.prepare.run import prepare_dataset\n"
        "from tryon_bench.prepare.settings import Settings\n"
        f"if __name__ == '__main__':\n"
        f"    prepare_dataset(Path({str(source)!r}), Path({str(out)!r}), "
        f"Settings.model_validate({settings.model_dump()!r}), workers=2)\n"
    )
    (tmp_path / "job.py").write_text(script)
    process = subprocess.Popen([sys.executable, str(tmp_path / "job.py")], stderr=subprocess.DEVNULL)
    journal = out / "prepared_test.jsonl"
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 6) and time.monotonic() < deadline:
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert children
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [child for child in children if Path(f"/proc/{child}/exe").exists()]
    (out / "test" / "cloth" / ".tmp-left.jpg").write_bytes(b"half")
    resumed = prepare(source, out, settings, resume=True, workers=2)
    assert resumed.kept >= 5
    assert resumed.made + resumed.kept == 48
    prepare(source, tmp_path / "whole", settings)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_worker_that_the_system_ends_is_one_error() -> None:
    with pytest.raises(ResourceError, match="a worker was ended by the system"):
        list(over_processes(os._exit, [1] * 8, 2))


def test_a_torn_line_of_the_journal_costs_one_item(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    prepare(source, out)
    journal = out / "prepared_test.jsonl"
    journal.write_bytes(journal.read_bytes()[:-40])
    assert prepare(source, out, resume=True).made == 1


def test_two_processes_do_not_share_a_folder(source: Path, tmp_path: Path) -> None:
    from tryon_bench.prepare.journal import locked

    (tmp_path / "data").mkdir()
    with locked(tmp_path / "data"), pytest.raises(ConfigError, match="another process prepares it"):
        prepare(source, tmp_path / "data")


def test_lists_of_the_user_are_kept(source: Path, tmp_path: Path) -> None:
    (source / "test_pairs.txt").write_text("p1.png p3.jpg\np3.png p1.jpg\n")
    assert prepare(source, tmp_path / "data").pairs == {"paired": 3, "unpaired": 2}
    rows = open_dataset(tmp_path / "data", setting="unpaired").samples
    assert [(s.person.stem, s.garment.stem) for s in rows] == [("p1", "p3"), ("p3", "p1")]
    (source / "test_pairs.txt").write_text("p1.png p9.jpg\n")
    with pytest.raises(DataError, match=r"test_pairs\.txt, line 1: no garment 'p9'"):
        prepare(source, tmp_path / "other")
    (source / "test_pairs.txt").unlink()
    (source / "test_pairs_paired.txt").write_text("p1.png p2.jpg\n")
    with pytest.raises(DataError, match="p1 wears p2; by the names of vitonhd it is p1"):
        prepare(source, tmp_path / "other")


def test_viton_becomes_the_surveys_processed_viton(tmp_path: Path, run_cli: Run) -> None:
    write_synthetic("viton", tmp_path / "viton", cases=3, size=(128, 96))
    out = tmp_path / "data"
    made = run_cli(
        "prepare", tmp_path / "viton", out, "--parse-scheme", "lip", "--size", "256x192", "--quiet", "--json"
    )
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["pairs"] == {"paired": 3, "unpaired": 3}
    for setting in ("paired", "unpaired"):
        dataset = open_dataset(out, setting=setting)
        assert dataset.format == "survey-viton"
        assert all(None not in (s.parse, s.agnostic_mask, s.keypoints) for s in dataset.samples)
        doctor = run_cli("doctor", out, "--setting", setting)
        assert (doctor.exit_code, doctor.stdout.splitlines()[-1]) == (0, "0 errors, 0 warnings"), doctor.output
    before, after = (open_dataset(root, setting="unpaired").samples for root in (tmp_path / "viton", out))
    assert [s.pair_id for s in before] == [s.pair_id for s in after]


def test_names_with_spaces_are_paired(source: Path, tmp_path: Path) -> None:
    for folder, suffix in (("image", ".png"), ("image-parse", ".png"), ("cloth", ".jpg")):
        (source / folder / f"p1{suffix}").rename(source / folder / f"my photo{suffix}")
    (source / "openpose_json" / "p1_keypoints.json").rename(source / "openpose_json" / "my photo_keypoints.json")
    prepare(source, tmp_path / "data")
    assert "my photo" in [s.person.stem for s in open_dataset(tmp_path / "data").samples]


def test_folders_have_their_own_names(source: Path, tmp_path: Path, run_cli: Run) -> None:
    (source / "image-parse").rename(source / "seg")
    common = (
        "prepare",
        source,
        tmp_path / "data",
        "--size",
        "128x96",
        "--parse-scheme",
        "atr",
        "--workers",
        1,
        "--quiet",
    )
    missing = run_cli(*common)
    assert missing.exit_code == 3
    assert "no parse" in missing.stderr
    assert run_cli(*common, "--resume", "--folder", "parse=seg").exit_code == 0
    wrong = run_cli("prepare", source, tmp_path / "x", "--folder", "segmentation=seg")
    assert (wrong.exit_code, "unknown role" in wrong.stderr) == (2, True)
    tiny = run_cli("prepare", source, tmp_path / "x", "--size", "20x10")
    assert (tiny.exit_code, "height_px" in tiny.stderr) == (2, True)


def test_densepose_comes_along_as_a_picture(source: Path, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_png(source / "dense" / f"p{number}.png", draw_actor(number, (120, 100), 0).photo().densepose)
    prepare(source, tmp_path / "data", SMALL.model_copy(update={"recipe": "catvton"}))
    picture = read_image(tmp_path / "data" / "test" / "image-densepose" / "p1.jpg").array
    assert picture.shape == (128, 96, 3)
    assert picture.max() > 150
    assert open_dataset(tmp_path / "data").samples[0].densepose is not None


@pytest.mark.assets
def test_without_parse_and_keypoints_mediapipe_helps_and_the_files_say_so(
    tmp_path: Path, asset: Callable[[str], Path], run_cli: Run
) -> None:
    for name in ("mediapipe-pose", "mediapipe-selfie-segmentation"):
        asset(name)
    source, out = tmp_path / "photos", tmp_path / "data"
    write_png(source / "image" / "astronaut.png", real_photo("astronaut"))
    for name in ("astronaut", "other"):
        write_jpeg(source / "cloth" / f"{name}.jpg", draw_actor(1, (120, 90), 0).garment.image)
    done = prepare(source, out, SMALL.model_copy(update={"estimate": True}))
    assert done.without_parse == 1
    record = json.loads((out / "prepared_test.jsonl").read_text().splitlines()[-1])
    assert (record["recipe"], record["estimated"]) == ("pose", ["person mask", "keypoints"])
    assert not (out / "test" / "image-parse-v3").exists()
    mask = read_mask(out / "test" / "agnostic-mask" / "astronaut_mask.png", binary=True).array.astype(bool)
    box = Letterbox((512, 512), (128, 96))
    ((head, suit),) = (box.points(np.array([[225.0, 110.0], [180.0, 380.0]])).round().astype(int),)
    assert not mask[head[1], head[0]]
    assert mask[suit[1], suit[0]]
    assert run_cli("doctor", out, "--setting", "unpaired").exit_code == 0


def test_what_the_user_gives_wins_over_mediapipe(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARTET_CACHE", str(tmp_path / "no models here"))
    prepare(source, tmp_path / "plain")
    prepare(source, tmp_path / "helped", SMALL.model_copy(update={"estimate": True}))
    assert contents(tmp_path / "plain" / "test") == contents(tmp_path / "helped" / "test")
    records = (tmp_path / "helped" / "prepared_test.jsonl").read_text().splitlines()
    assert all(json.loads(record)["estimated"] == [] for record in records)


def test_absent_models_are_one_error_before_anything_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARTET_CACHE", str(tmp_path / "no models here"))
    models.segmentation_network.cache_clear()
    damage_no_keypoints(source)
    with pytest.raises(DataError, match=r"mediapipe-selfie-segmentation.*assets fetch"):
        prepare(source, tmp_path / "data", SMALL.model_copy(update={"estimate": True}))
    assert not (tmp_path / "data").exists()


def test_nothing_of_the_source_is_written(source: Path, tmp_path: Path) -> None:
    before = contents(source)
    prepare(source, tmp_path / "data")
    assert contents(source) == before
    shutil.rmtree(tmp_path / "data")
