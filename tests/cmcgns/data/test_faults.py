"""Damaged and hostile input: one line that names file and column, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cmcgns._shared.errors import ConfigError, DataError
from cmcgns.cli import app
from cmcgns.data.formats import open_pairs
from cmcgns.data.generic import Columns, load_table
from cmcgns.data.iuxray import read_report
from cmcgns.data.object_cxr import parse_annotation
from cmcgns.data.pairs import Pair, PairDataset, RunLengths
from cmcgns.data.pixels import decode_runs, encode_runs, read_pixels
from cmcgns.data.sections import report_text, split_sections
from cmcgns.data.splits import assign_split, require_no_leak
from cmcgns.synth.write import WRITERS, write_synthetic

# The table of each format, a column that it needs, and the name in the message.
TABLES = [
    ("mimic-cxr", "mimic-cxr-2.0.0-metadata.csv.gz", "ViewPosition"),
    ("mimic-cxr", "mimic-cxr-2.0.0-split.csv.gz", "split"),
    ("mimic-cxr", "mimic-cxr-2.0.0-chexpert.csv.gz", "Edema"),
    ("chexpert", "train.csv", "Path"),
    ("chexpert-plus", "df_chexpert_plus_synth.csv", "path_to_image"),
    ("rsna", "stage_2_train_labels.csv", "Target"),
    ("siim", "train-rle.csv", "EncodedPixels"),
    ("object-cxr", "dev.csv", "annotation"),
    ("padchest-gr", "master_table.csv", "PatientID"),
    ("ms-cxr", "MS_CXR_Local_Alignment_v1.1.0.csv", "label_text"),
    ("vindr", "annotations_train.csv", "class_name"),
    ("iu-xray", "indiana_projections.csv", "projection"),
]


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    import gzip

    content = path.read_bytes()
    packed = path.suffix == ".gz"
    content = change(gzip.decompress(content) if packed else content)
    path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize(("layout", "table", "column"), TABLES, ids=[f"{t[1]}-{t[2]}" for t in TABLES])
def test_a_missing_column_is_one_line_with_file_and_column(
    tmp_path: Path, layout: str, table: str, column: str
) -> None:
    write_synthetic(layout, tmp_path / layout)
    rewrite(tmp_path / layout / table, lambda content: content.replace(column.encode(), b"Other", 1))
    result = CliRunner().invoke(app, ["doctor", str(tmp_path / layout), "--format", layout])
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: {table}: no column {column}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_wrong_column_of_a_table_is_named(tmp_path: Path, kind: str) -> None:
    write_synthetic(kind, tmp_path / kind)
    arguments = ["doctor", str(tmp_path / kind / f"data.{kind}"), "--image-col", "image", "--text-col", "finding"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: data.{kind}: no column finding; ")


def test_columns_are_guessed_and_what_is_named_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("File,findings,subject_id,Edema\na.png,Clear.,p,1\nb.png,Wet.,p,\n")
    dataset = load_table(path)
    assert ([p.patient_id for p in dataset], dataset.label_names) == (["p", "p"], ("Edema",))
    with pytest.raises(DataError, match=r"data\.csv: no column patient; it has|line 1 has"):
        load_table(path, Columns(patient="patient"))
    path.write_text("File,words\na.png,Clear.\n")
    with pytest.raises(
        DataError, match=r"data\.csv: no column for texts among File, words; name it with --text-col"
    ):
        load_table(path)


def test_an_option_of_another_format_is_refused(tmp_path: Path) -> None:
    write_synthetic("csv", tmp_path / "csv")
    with pytest.raises(ConfigError, match="reports: csv has no such option"):
        open_pairs(tmp_path / "csv", reports=tmp_path)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
@pytest.mark.parametrize("layout", [name for name in WRITERS if name != "parquet"])
def test_damaged_files_give_data_or_errors_and_never_a_traceback(
    layout: str, tmp_path_factory: pytest.TempPathFactory, random
) -> None:
    """Any file of the set is cut, or some of its bytes replaced; the command answers in one line."""
    root = tmp_path_factory.mktemp("fuzz") / layout
    write_synthetic(layout, root, films=10, side_px=16)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    tables = [f for f in files if f.suffix in (".csv", ".gz", ".json", ".jsonl", ".txt", ".xml", ".tar")]
    path = random.choice(tables if random.random() < 0.7 else files)

    def damage(content: bytes) -> bytes:
        data = bytearray(content)
        for _ in range(random.randint(1, 8)):
            if data:
                data[random.randrange(len(data))] = random.randrange(256)
        return bytes(data[: random.randrange(len(data) + 1)] if random.random() < 0.3 else data)

    rewrite(path, damage)
    result = CliRunner().invoke(app, ["doctor", str(root), "--format", layout, "--quiet"])
    assert result.exit_code in (0, 1, 3), result.stderr
    assert "a bug" not in result.stderr
    assert result.stderr.count("\n") <= 1


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_report_has_sections_or_none(text: str) -> None:
    sections = split_sections(text)
    assert all(sections.values())
    report_text(sections)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), suffix=st.sampled_from([".png", ".jpg", ".dcm"]))
def test_any_bytes_called_an_image_give_data_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="film"):
        read_pixels(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".jsonl", ".parquet", ".csv.gz"]))
def test_any_bytes_called_a_table_give_data_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="table"):
        load_table(path)


@given(st.text(alphabet="0123456789 .;-ex", max_size=40))
def test_any_annotation_is_boxes_or_data_error(text: str) -> None:
    with suppress(DataError):
        assert all(x0 <= x1 and y0 <= y1 for x0, y0, x1, y1 in parse_annotation(text, "dev.csv"))


@given(st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_run_lengths_survive_the_way_there_and_back(height: int, width: int, random) -> None:
    mask = np.array([[random.random() < 0.5 for _ in range(width)] for _ in range(height)], np.uint8)
    assert np.array_equal(decode_runs(RunLengths((encode_runs(mask),), height, width)), mask)


@pytest.mark.parametrize("row", ["1", "1 x", "1 99", "-1 2", "1 9999999999"])
def test_damaged_run_lengths_are_refused(row: str) -> None:
    with pytest.raises(DataError, match="run lengths"):
        decode_runs(RunLengths((row,), 8, 6))


def test_a_path_that_leads_out_of_the_data_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("image,report\n../secret.png,Clear.\n")
    with pytest.raises(DataError, match="inside the data folder"):
        load_table(path)


def test_xml_with_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.xml"
    path.write_text('<!DOCTYPE x [<!ENTITY a "b">]><eCitation><uId id="1"/></eCitation>')
    with pytest.raises(DataError, match="document type declaration"):
        read_report(path)


def test_a_leak_is_counted_and_nobody_is_named() -> None:
    film = np.zeros((2, 2), np.uint8)
    pairs = (Pair(film, patient_id="DOE_JANE", split="train"), Pair(film, patient_id="DOE_JANE", split="test"))
    with pytest.raises(DataError, match="1 of 1 patients are on two sides") as failure:
        require_no_leak(PairDataset("csv", pairs))
    assert "DOE" not in str(failure.value)


def test_identifiers_appear_in_no_output(tmp_path: Path) -> None:
    """Canaries in patient ids and reports: neither doctor nor prepare prints them."""
    write_synthetic("csv", tmp_path / "csv")
    rewrite(tmp_path / "csv" / "data.csv", lambda c: c.replace(b"p0000", b"CANARY").replace(b"No ", b"CANARY "))
    for arguments in (
        ["doctor", str(tmp_path / "csv")],
        ["prepare", str(tmp_path / "csv"), str(tmp_path / "out")],
    ):
        result = CliRunner().invoke(app, [*arguments, "--json"])
        assert result.exit_code in (0, 1)
        assert "CANARY" not in result.output


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_split_sides_share_no_patient_at_any_size(count: int) -> None:
    film = np.zeros((2, 2), np.uint8)
    data = PairDataset("csv", tuple(Pair(film, patient_id=str(i // 2)) for i in range(2 * count)))
    split = assign_split(data, seed=1)
    require_no_leak(split)
    assert any(pair.split == "train" for pair in split)
    assert [p.split for p in split] == [p.split for p in assign_split(data, seed=1)]


def test_the_leaky_splits_warn_and_leak(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_synthetic("siim", tmp_path / "siim", films=60, side_px=16)
    with caplog.at_level("WARNING"):
        split = assign_split(open_pairs(tmp_path / "siim"), "official-leaky")
    assert "on several sides" in caplog.text
    with pytest.raises(DataError, match="patients are on two sides"):
        require_no_leak(split)
    write_synthetic("mimic-cxr", tmp_path / "mimic", films=20, side_px=16)
    assert "test" not in {p.split for p in assign_split(open_pairs(tmp_path / "mimic"), "official-leaky")}
    with pytest.raises(ConfigError, match="official-leaky is for"):
        assign_split(open_pairs(write_and_return(tmp_path / "rsna")), "official-leaky")


def write_and_return(root: Path) -> Path:
    write_synthetic("rsna", root, side_px=16)
    return root


def test_prepare_goes_on_where_it_was_stopped_and_refuses_other_settings(tmp_path: Path) -> None:
    write_synthetic("csv", tmp_path / "csv", films=20)
    command = ["prepare", str(tmp_path / "csv"), str(tmp_path / "out"), "--shard-size", "5", "--json"]
    assert CliRunner().invoke(app, command).exit_code == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "shard-00002.tar").unlink()
    assert CliRunner().invoke(app, command).exit_code == 2
    resumed = CliRunner().invoke(app, [*command, "--resume", "--workers", "2"])
    assert json.loads(resumed.stdout)["reused"] == 3
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == whole
    other = CliRunner().invoke(app, [*command, "--resume", "--side", "16"])
    assert (other.exit_code, "other side_px" in other.stderr) == (2, True)


def test_prepare_tolerates_some_unreadable_films_and_refuses_many(tmp_path: Path) -> None:
    write_synthetic("csv", tmp_path / "csv", films=40)
    films = sorted((tmp_path / "csv" / "images").iterdir())
    films[3].write_bytes(b"<html>")
    result = CliRunner().invoke(app, ["prepare", str(tmp_path / "csv"), str(tmp_path / "a"), "--json"])
    assert list(json.loads(result.stdout)["excluded"]) == ["sample 3"]
    assert len(open_pairs(tmp_path / "a")) == 39
    for film in films[:6]:
        film.write_bytes(b"<html>")
    result = CliRunner().invoke(app, ["prepare", str(tmp_path / "csv"), str(tmp_path / "b")])
    assert (result.exit_code, "6 of 40 films cannot be read" in result.stderr) == (3, True)
