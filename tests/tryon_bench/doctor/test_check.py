"""Every row of the recurring user errors, and every oddity of a file, is found and named; the rest is not lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from tryon_bench._shared.errors import DataError
from tryon_bench._shared.io.images import read_image, write_png
from tryon_bench.data.open import open_dataset
from tryon_bench.data.predictions import match
from tryon_bench.data.sample import Dataset
from tryon_bench.doctor.check import check
from tryon_bench.doctor.findings import Finding, require_sound
from tryon_bench.doctor.pixels import beat_strength, equal_outside, square_beat
from tryon_bench.doctor.survey import alike, thumbnail
from tryon_bench.jpeg import through_jpeg
from tryon_bench.synth.cast import draw_actor
from tryon_bench.synth.files import write_jpeg
from tryon_bench.synth.write import write_synthetic

SIZE = (64, 48)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four persons in VITON-HD's layout."""
    write_synthetic("vitonhd", tmp_path / "set", cases=4, size=SIZE)
    return tmp_path / "set"


@pytest.fixture(scope="module")
def corrupted(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """What is found in the list of damaged and odd files."""
    root = tmp_path_factory.mktemp("corrupted") / "set"
    write_synthetic("vitonhd", root, cases=4, corrupt=True)
    return check(open_dataset(root, setting="unpaired", pairs=root / "test_pairs_corrupted.txt"))


def named(findings: list[Finding], code: str) -> Finding:
    """The one finding of that name."""
    found = [finding for finding in findings if finding.code == code]
    assert len(found) == 1, f"{code}: {[str(f) for f in findings]}"
    return found[0]


def results_of(dataset: Dataset, folder: Path) -> dict[str, dict[str, Path]]:
    return {"mine": match(dataset, folder).files}


@pytest.mark.parametrize("setting", ["paired", "unpaired"])
def test_sound_data_and_results_have_no_error_and_no_warning(root: Path, setting: str) -> None:
    dataset = open_dataset(root, setting=setting)  # type: ignore[arg-type]
    findings = check(dataset, results_of(dataset, root / "oracle" / setting))
    assert {finding.level for finding in findings} == {"info"}
    require_sound(findings)


@pytest.mark.parametrize(
    ("code", "file"),
    [
        ("alpha", "90003_00.png"),
        ("sixteen_bit", "90004_00.png"),
        ("rotated", "90005_00.jpg"),
        ("palette", "90007_00.png"),
        ("cmyk", "90008_00.jpg"),
        ("grey", "90002_00.jpg"),
        ("missing", "90001_00.jpg"),
    ],
)
def test_each_oddity_of_a_photo_is_one_clear_line(corrupted: list[Finding], code: str, file: str) -> None:
    finding = named(corrupted, code)
    assert file in finding.message
    assert "\n" not in finding.message


def test_truncated_and_huge_images_are_one_line_each_and_nothing_else_is_lost(corrupted: list[Finding]) -> None:
    damaged = {finding.message for finding in corrupted if finding.code == "unreadable"}
    assert len(damaged) == 2
    assert any("90006_00.jpg: cannot be decoded" in message for message in damaged)
    assert any("90009_00.png: more pixels than" in message for message in damaged)
    assert (
        "6 48x64" in named(corrupted, "references").message or "7 48x64" in named(corrupted, "references").message
    )


def test_row_1_garments_among_the_reference_photos(root: Path) -> None:
    dataset = open_dataset(root)
    shutil.copy(dataset.samples[0].garment, dataset.samples[1].person)
    finding = named(check(dataset), "garment_as_reference")
    assert (finding.level, finding.row, finding.pair_ids) == ("error", 1, (dataset.samples[1].pair_id,))


def test_row_1_the_folder_of_photos_given_as_results(root: Path) -> None:
    dataset = open_dataset(root)
    finding = named(check(dataset, results_of(dataset, root / "test" / "image")), "result_is_reference")
    assert (finding.level, finding.row) == ("warning", 1)


@pytest.mark.parametrize("setting", ["paired", "unpaired"])
def test_row_3_a_list_of_the_other_setting(root: Path, setting: str) -> None:
    other = "unpaired" if setting == "paired" else "paired"
    rows = open_dataset(root, setting=other).samples  # type: ignore[arg-type]
    swapped = Dataset("manifest", root, setting, tuple(replace(s, setting=setting) for s in rows), "list")  # type: ignore[arg-type]
    finding = named(check(swapped), "list_meaning")
    assert (finding.level, finding.row, len(finding.pair_ids)) == ("error", 3, 4)


def test_row_4_self_pairs_in_the_unpaired_list(corrupted: list[Finding]) -> None:
    finding = named(corrupted, "self_pairs")
    assert (finding.level, finding.row, finding.pair_ids) == ("warning", 4, ("90000_00__90000_00",))


def test_row_5_results_of_another_size_and_photos_of_several(root: Path, tmp_path: Path) -> None:
    dataset = open_dataset(root)
    for sample in dataset.samples:
        write_png(tmp_path / "out" / f"{sample.person.stem}.png", np.zeros((128, 96, 3), np.uint8))
    write_jpeg(dataset.samples[0].person, np.zeros((32, 24, 3), np.uint8))
    findings = check(dataset, results_of(dataset, tmp_path / "out"))
    assert named(findings, "result_size").row == 5
    assert "3 96x128 for 48x64" in named(findings, "result_size").message
    assert named(findings, "reference_sizes").row == 5
    assert named(findings, "mask_size").level == "error"


def test_row_5_a_squeezed_shape_is_an_error_and_panels_are_recognised(root: Path, tmp_path: Path) -> None:
    dataset = open_dataset(root)
    for sample in dataset.samples:
        write_png(tmp_path / "square" / f"{sample.person.stem}.png", np.zeros((64, 64, 3), np.uint8))
        write_png(tmp_path / "panels" / f"{sample.person.stem}.png", np.zeros((64, 144, 3), np.uint8))
    square = named(check(dataset, results_of(dataset, tmp_path / "square")), "aspect_ratio")
    assert (square.level, square.row) == ("error", 5)
    panels = named(check(dataset, results_of(dataset, tmp_path / "panels")), "aspect_ratio")
    assert "register --panels 3" in panels.message


def test_row_6_the_same_photo_under_two_names(root: Path) -> None:
    dataset = open_dataset(root)
    shutil.copy(dataset.samples[0].person, dataset.samples[1].person)
    finding = named(check(dataset), "duplicates")
    assert (finding.level, finding.row, len(finding.pair_ids)) == ("warning", 6, 2)
    assert "00001_00.jpg = 00002_00.jpg" in finding.message


def test_row_6_a_recompressed_copy_looks_the_same(root: Path) -> None:
    dataset = open_dataset(root)
    photo = read_image(dataset.samples[0].person).array
    write_jpeg(dataset.samples[1].person, photo, quality=80)
    assert named(check(dataset), "near_duplicates").row == 6


def test_row_6_test_photos_in_the_training_folder(root: Path) -> None:
    (root / "train" / "image").mkdir(parents=True)
    shutil.copy(root / "test" / "image" / "00002_00.jpg", root / "train" / "image" / "77777_00.jpg")
    finding = named(check(open_dataset(root)), "train_test")
    assert finding.row == 6
    assert "77777_00.jpg" in finding.message


def test_row_9_a_hole_in_the_results(root: Path) -> None:
    dataset = open_dataset(root)
    files = dict(results_of(dataset, root / "oracle" / "paired")["mine"])
    gone = dataset.samples[2].pair_id
    del files[gone]
    findings = check(dataset, {"mine": files})
    finding = named(findings, "missing_results")
    assert (finding.level, finding.row, finding.pair_ids) == ("error", 9, (gone,))
    with pytest.raises(DataError, match=r"mine: 3 results for 4 pairs.*--allow"):
        require_sound(findings)
    require_sound(findings, allow=True)


def test_damaged_parses_unknown_ids_and_empty_regions_are_found(root: Path) -> None:
    dataset = open_dataset(root)
    parses = [sample.parse for sample in dataset.samples]
    assert all(parses)
    parses[0].write_bytes(b"no image")  # type: ignore[union-attr]
    write_png(parses[1], np.full(SIZE, 77, np.uint8))  # type: ignore[arg-type]
    write_png(parses[2], np.full(SIZE, 13, np.uint8))  # type: ignore[arg-type]
    findings = check(dataset)
    problems = {finding.pair_ids: finding.message for finding in findings if finding.code == "region"}
    assert "cannot be decoded" in problems[(dataset.samples[0].pair_id,)]
    assert "label id 77; vitonhd ends at 19" in problems[(dataset.samples[1].pair_id,)]
    assert named(findings, "empty_region").pair_ids == (dataset.samples[2].pair_id,)


def test_inverted_agnostic_masks_are_an_error(root: Path) -> None:
    dataset = open_dataset(root, setting="unpaired")
    for sample in dataset.samples:
        assert sample.agnostic_mask is not None
        write_png(sample.agnostic_mask, 255 - read_image(sample.agnostic_mask).array)
    assert "white must mean repaint" in named(check(dataset), "mask_polarity").message


def test_results_saved_by_pillows_default_are_named(root: Path, tmp_path: Path) -> None:
    dataset = open_dataset(root)
    for sample in dataset.samples:
        write_jpeg(tmp_path / "out" / f"{sample.person.stem}.jpg", read_image(sample.person).array, quality=75)
    finding = named(check(dataset, results_of(dataset, tmp_path / "out")), "jpeg_quality")
    assert finding.level == "warning"
    assert "quality 75 to 75" in finding.message


def test_results_that_repeat_each_other_and_formats_that_mix_are_named(root: Path, tmp_path: Path) -> None:
    dataset = open_dataset(root)
    for index, sample in enumerate(dataset.samples):
        write_png(tmp_path / "out" / f"{sample.person.stem}.png", np.full((*SIZE, 3), 10 * (index // 2), np.uint8))
    first = dataset.samples[0].person.stem
    (tmp_path / "out" / f"{first}.png").unlink()
    write_jpeg(tmp_path / "out" / f"{first}.jpg", np.zeros((*SIZE, 3), np.uint8))
    findings = check(dataset, results_of(dataset, tmp_path / "out"))
    assert len(named(findings, "same_result").pair_ids) == 2
    assert "3 PNG, 1 JPEG" in named(findings, "mixed_formats").message


@pytest.mark.parametrize("quality", [None, 75, 95])
def test_a_pasted_background_is_recognised_through_jpeg_too(quality: int | None) -> None:
    actor, other = draw_actor(1, (256, 192), 0), draw_actor(2, (256, 192), 0)
    scene, exchanged = actor.photo(), actor.photo(other.garment)
    region = scene.repaint | exchanged.garment_mask
    stored = exchanged.photo if quality is None else through_jpeg(exchanged.photo, quality)
    assert equal_outside(stored, scene.photo, region, quality) > 0.95
    rng = np.random.default_rng(0)
    generated = (exchanged.photo + rng.normal(0, 3, exchanged.photo.shape)).clip(0, 255).astype(np.uint8)
    stored = generated if quality is None else through_jpeg(generated, quality)
    assert equal_outside(stored, scene.photo, region, quality) < 0.5


def test_pasted_results_are_reported(root: Path) -> None:
    dataset = open_dataset(root)
    for sample in dataset.samples:  # lossless photos, so that pasting is exact
        truth = root / "oracle" / "paired" / f"{sample.pair_id}.png"
        lossless = read_image(truth).array.copy()
        write_png(sample.person.with_suffix(".png"), lossless)
        lossless[20:40, 20:30] += 9
        write_png(truth, lossless)
    rows = tuple(replace(s, reference=s.person.with_suffix(".png")) for s in dataset.samples)
    dataset = replace(dataset, samples=rows)
    finding = named(check(dataset, results_of(dataset, root / "oracle" / "paired")), "pasted_background")
    assert finding.level == "info"
    assert "4 of 4" in finding.message


@pytest.mark.parametrize("resampling", [0, 2, 3])
def test_results_squeezed_from_a_square_are_recognised(resampling: int, tmp_path: Path) -> None:
    write_synthetic("vitonhd", tmp_path / "set", cases=8, size=(256, 192))
    dataset = open_dataset(tmp_path / "set")
    rng = np.random.default_rng(0)
    for sample in dataset.samples:
        square = np.asarray(Image.fromarray(read_image(sample.person).array).resize((256, 256), 3))
        noisy = Image.fromarray((square + rng.normal(0, 2, square.shape)).clip(0, 255).astype(np.uint8))
        write_png(tmp_path / "out" / f"{sample.person.stem}.png", np.asarray(noisy.resize((192, 256), resampling)))
    finding = named(check(dataset, results_of(dataset, tmp_path / "out")), "from_square")
    assert (finding.level, finding.row) == ("warning", 5)


def test_honest_results_carry_no_beat() -> None:
    photos = [draw_actor(n, (256, 192), 0).photo().photo for n in range(1, 5)]
    for images in (photos, [through_jpeg(photo, 75) for photo in photos]):
        assert beat_strength(images, 1 / 3, axis=1) < 3
    assert square_beat(1024, 768) == pytest.approx(1 / 3, abs=1e-4)
    assert square_beat(512, 512) is None


def test_a_thumbnail_survives_recompression_and_tells_persons_apart() -> None:
    photos = [draw_actor(n, (128, 96), 0).photo().photo for n in (1, 2, 3)]
    again = Image.fromarray(photos[2]).resize((48, 64))
    looks = [thumbnail(image) for image in (*photos, through_jpeg(photos[0], 75), np.asarray(again))]
    assert alike(np.stack(looks)) == [(0, 3), (2, 4)]


def test_doctor_from_the_command_line_answers_no_with_exit_code_1(
    root: Path, run_cli: Callable[..., Result]
) -> None:
    fine = run_cli("doctor", root, "--pred", f"oracle={root / 'oracle' / 'paired'}", "--json")
    assert (fine.exit_code, json.loads(fine.stdout)["errors"]) == (0, 0)
    (root / "test" / "image" / "00001_00.jpg").write_bytes(b"no image")
    broken = run_cli("doctor", root)
    assert broken.exit_code == 1
    assert "error    data: photos: 00001_00.jpg: cannot be decoded" in broken.stdout
    assert run_cli("doctor", root, "--pred", "oracle").exit_code == 2
