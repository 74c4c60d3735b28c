"""Results found under every naming seen in the wild, or an error that says what is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import Result

from tryon_bench._shared.errors import ConfigError, DataError
from tryon_bench._shared.io.images import read_image, write_png
from tryon_bench.data.naming import expected_stem, template_of
from tryon_bench.data.open import open_dataset
from tryon_bench.data.parquet import unpack_parquet
from tryon_bench.data.predictions import match, resolve_predictions
from tryon_bench.data.registered import load_registry, register, registered_predictions
from tryon_bench.data.sample import Dataset, Sample
from tryon_bench.data.stored import jpeg_quality, stored
from tryon_bench.synth.files import write_jpeg
from tryon_bench.synth.write import write_synthetic

IMAGE = np.zeros((16, 12, 3), np.uint8)


def dataset_of(names: list[tuple[str, str]], setting: str = "unpaired", category: str = "") -> Dataset:
    samples = tuple(
        Sample(f"{p}__{g}", Path(f"{p}.jpg"), Path(f"{g}.jpg"), Path(f"{p}.jpg"), setting, category)  # type: ignore[arg-type]
        for p, g in names
    )
    return Dataset("vitonhd", Path("set"), setting, samples, "test_pairs.txt")  # type: ignore[arg-type]


HD = dataset_of([("05006_00", "13358_00"), ("00017_00", "05006_00"), ("13358_00", "00017_00")])


def written(folder: Path, names: list[str]) -> Path:
    for index, name in enumerate(names):
        write_png(folder / name, np.full_like(IMAGE, index))
    return folder


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("pair_id", [s.pair_id for s in HD.samples]),
        ("person_stem+garment_stem", [f"{s.person.stem}_{s.garment.stem}" for s in HD.samples]),
        ("person_id+garment", ["05006_13358_00", "00017_05006_00", "13358_00017_00"]),
        ("person", [s.person.stem for s in HD.samples]),
        ("person_id", ["05006", "00017", "13358"]),
        ("index", ["0000", "0001", "0002"]),
        ("index1", ["1", "2", "3"]),
        ("digits8", ["inshop_05006_00_x", "inshop_00017_00_x", "inshop_13358_00_x"]),
    ],
)
def test_every_pattern_is_recognised(pattern: str, names: list[str], tmp_path: Path) -> None:
    folder = written(tmp_path / "out", [f"{name}.png" for name in names])
    assert match(HD, folder).pattern == pattern
    files = resolve_predictions(HD, folder)
    assert [path.stem for path in files.values()] == names
    assert list(files) == [s.pair_id for s in HD.samples]


def test_an_unpaired_result_never_passes_for_a_paired_one(tmp_path: Path) -> None:
    paired = dataset_of([("05006_00", "05006_00")], "paired")
    with pytest.raises(DataError, match="none of 1 images is named after a pair"):
        resolve_predictions(paired, written(tmp_path, ["05006_00_13358_00.png"]))


def test_a_hole_is_an_error_that_names_it_unless_allowed(tmp_path: Path) -> None:
    folder = written(tmp_path, ["05006_00.png", "00017_00.png", "stray.png"])
    with pytest.raises(DataError, match=r"2/3 pairs .* 13358_00__00017_00 has none"):
        resolve_predictions(HD, folder)
    assert len(resolve_predictions(HD, folder, allow_missing=True)) == 2
    assert [path.name for path in match(HD, folder).extra] == ["stray.png"]


def test_two_patterns_that_disagree_are_not_guessed(tmp_path: Path) -> None:
    written(tmp_path, [f"{s.person.stem}.png" for s in HD.samples])
    written(tmp_path, [f"{s.person.stem[:5]}.png" for s in HD.samples])
    with pytest.raises(DataError, match="the patterns person and person_id fit equally well and disagree"):
        resolve_predictions(HD, tmp_path)
    assert resolve_predictions(HD, tmp_path, "person_id")[HD.samples[0].pair_id].name == "05006.png"


def test_a_template_of_the_user(tmp_path: Path) -> None:
    folder = written(tmp_path, [f"r-{s.garment.stem}-{s.person.stem}.png" for s in HD.samples])
    assert len(resolve_predictions(HD, folder, "r-{garment_stem}-{person}.{ext}")) == 3
    with pytest.raises(ConfigError, match="unknown field shirt"):
        template_of("{shirt}")
    with pytest.raises(ConfigError, match="no field"):
        template_of("result")
    with pytest.raises(ConfigError, match="pattern"):
        expected_stem("{person_stem:d}", HD.samples[0], 0)


def test_category_folders_tell_equal_names_apart(tmp_path: Path) -> None:
    upper = dataset_of([("1_0", "2_1")], category="upper_body").samples
    lower = dataset_of([("1_0", "3_1")], category="lower_body").samples
    both = Dataset("dresscode", Path("set"), "unpaired", upper + lower, "list")
    written(tmp_path, ["upper_body/1_0.png", "lower_body/1_0.png"])
    files = resolve_predictions(both, tmp_path, "person")
    assert [path.parent.name for path in files.values()] == ["upper_body", "lower_body"]
    assert [path.parent.name for path in resolve_predictions(both, tmp_path, "{category}/{person}").values()] == [
        "upper_body",
        "lower_body",
    ]


def test_two_files_for_one_row_are_an_error(tmp_path: Path) -> None:
    written(tmp_path, ["05006_00.png", "again/05006_00.png"])
    with pytest.raises(DataError, match="both answer"):
        resolve_predictions(HD, tmp_path, "person")


def test_one_file_for_several_rows_is_an_error(tmp_path: Path) -> None:
    twice = dataset_of([("a", "x"), ("a", "y")])
    with pytest.raises(ConfigError, match=r"a\.png answers several pairs"):
        resolve_predictions(twice, written(tmp_path, ["a.png"]), "person")


def test_an_empty_or_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image in it"):
        resolve_predictions(HD, tmp_path)
    with pytest.raises(DataError, match="expected a folder of results"):
        resolve_predictions(HD, tmp_path / "nowhere")
    with pytest.raises(DataError, match="none of 1 images is named after a pair"):
        resolve_predictions(HD, written(tmp_path, ["zebra.png"]))


@pytest.mark.parametrize("quality", [10, 50, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality: int, tmp_path: Path) -> None:
    write_jpeg(tmp_path / "a.jpg", IMAGE, quality)
    assert stored(tmp_path / "a.jpg").jpeg_quality == quality
    assert jpeg_quality((16,) * 64) == pytest.approx(86, abs=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registered") / "set"
    write_synthetic("vitonhd", root, cases=3, size=(32, 24))
    return root


def test_a_registered_method_is_found_again_and_its_rows_are_written(data: Path, tmp_path: Path) -> None:
    dataset = open_dataset(data, setting="unpaired")
    entry = register(dataset, "oracle", data / "oracle" / "unpaired", tmp_path / "methods.json")
    assert (entry.results, entry.expected, entry.pattern) == (3, 3, "pair_id")
    files = registered_predictions(dataset, tmp_path / "methods.json")["oracle"]
    assert [path.stem for path in files.values()] == [s.pair_id for s in dataset.samples]
    rows = [json.loads(line) for line in (tmp_path / "oracle-unpaired.jsonl").read_text().splitlines()]
    assert len(rows[0]["sha256"]) == 64
    assert (rows[0]["size"], rows[0]["mode"], rows[0]["jpeg_quality"]) == ([32, 24], "RGB", None)


def test_results_of_another_list_are_refused(data: Path, tmp_path: Path) -> None:
    register(open_dataset(data), "oracle", data / "oracle" / "paired", tmp_path / "methods.json")
    (tmp_path / "list.txt").write_text("00001_00.jpg 00001_00.jpg\n")
    shorter = open_dataset(data, pairs=tmp_path / "list.txt")
    with pytest.raises(DataError, match=r"oracle: registered for the list .* register its results for this list"):
        registered_predictions(shorter, tmp_path / "methods.json")
    with pytest.raises(ConfigError, match="no unpaired results"):
        registered_predictions(open_dataset(data, setting="unpaired"), tmp_path / "methods.json")


def test_the_right_third_is_cut_out_of_three_panels(data: Path, tmp_path: Path) -> None:
    dataset = open_dataset(data)
    for sample in dataset.samples:
        own = read_image(data / "oracle" / "paired" / f"{sample.pair_id}.png").array
        write_png(tmp_path / "wide" / f"{sample.person.stem}.png", np.concatenate([own * 0, own * 0, own], axis=1))
    register(dataset, "catvton", tmp_path / "wide", tmp_path / "methods.json", panels=3)
    files = registered_predictions(dataset, tmp_path / "methods.json")["catvton"]
    for pair_id, path in files.items():
        truth = read_image(data / "oracle" / "paired" / f"{pair_id}.png").array
        np.testing.assert_array_equal(read_image(path).array, truth)
    with pytest.raises(DataError, match="which 5 panels do not divide"):
        register(dataset, "five", tmp_path / "wide", tmp_path / "methods.json", panels=5)


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_archives_are_unpacked_beside_the_registry(kind: str, data: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "results"), kind, data / "oracle" / "paired"))
    dataset = open_dataset(data)
    register(dataset, "packed", archive, tmp_path / "m" / "methods.json")
    assert len(registered_predictions(dataset, tmp_path / "m" / "methods.json")["packed"]) == 3


@pytest.mark.parametrize("form", ["struct", "columns"])
def test_images_in_a_parquet_file_are_results_too(form: str, data: Path, tmp_path: Path) -> None:
    dataset = open_dataset(data)
    files = {s.pair_id: data / "oracle" / "paired" / f"{s.pair_id}.png" for s in dataset.samples}
    if form == "struct":
        rows: dict[str, list[object]] = {
            "image": [{"bytes": f.read_bytes(), "path": f.name} for f in files.values()]
        }
    else:
        rows = {"bytes": [f.read_bytes() for f in files.values()], "id": list(files)}
    parquet.write_table(pa.table(rows), tmp_path / "results.parquet")
    register(dataset, "packed", tmp_path / "results.parquet", tmp_path / "m" / "methods.json")
    found = registered_predictions(dataset, tmp_path / "m" / "methods.json")["packed"]
    assert {k: p.read_bytes() for k, p in found.items()} == {k: p.read_bytes() for k, p in files.items()}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"picture": [b"x"]}, "no image column among picture"),
        ({"image": [b"x"]}, "row 1 has no image or no name"),
        ({"image": [b"x"], "id": ["a"]}, "row 1: cannot be decoded"),
    ],
)
def test_a_parquet_file_without_images_is_one_clear_line(
    rows: dict[str, list[object]], message: str, tmp_path: Path
) -> None:
    parquet.write_table(pa.table(rows), tmp_path / "results.parquet")
    with pytest.raises(DataError, match=message):
        unpack_parquet(tmp_path / "results.parquet", tmp_path / "out")
    (tmp_path / "results.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        unpack_parquet(tmp_path / "results.parquet", tmp_path / "out")


def test_the_registry_holds_one_entry_per_name_and_setting(data: Path, tmp_path: Path) -> None:
    for _ in range(2):
        register(open_dataset(data), "oracle", data / "oracle" / "paired", tmp_path / "methods.json")
    assert len(load_registry(tmp_path / "methods.json").methods) == 1
    with pytest.raises(ConfigError, match="use letters, digits"):
        register(open_dataset(data), "a b", data / "oracle" / "paired", tmp_path / "methods.json")
    (tmp_path / "methods.json").write_text("{")
    with pytest.raises(ConfigError, match="not a registry of methods"):
        load_registry(tmp_path / "methods.json")


def test_register_from_the_command_line(data: Path, tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    arguments = ("register", data, "oracle", data / "oracle" / "unpaired", "--methods", tmp_path / "methods.json")
    result = run_cli(*arguments, "--setting", "unpaired", "--json")
    assert json.loads(result.stdout)["results"] == 3
    assert run_cli(*arguments, "--setting", "paired").exit_code == 3
