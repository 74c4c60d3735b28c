"""Every format end to end from its documented commands: synth, doctor, prepare, and the samples that come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cmcgns.cli import app
from cmcgns.data.config import DataConfig, open_data
from cmcgns.data.formats import open_pairs, recognise
from cmcgns.data.pairs import PRESENT
from cmcgns.data.pixels import read_pair_mask, read_pixels
from cmcgns.data.splits import require_no_leak
from cmcgns.model import CMCGNS
from cmcgns.synth.write import WRITERS
from cmcgns.weights import save

PAIRED = ("mimic-cxr", "chexpert-plus", "iu-xray", "roco", "padchest-gr", "ms-cxr", "csv", "parquet", "jsonl")
BOXES = ("rsna", "object-cxr", "vindr", "padchest-gr", "ms-cxr")


def run(*arguments: str | Path) -> tuple[int, Any]:
    """Exit code and the JSON document of a command."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr


@pytest.fixture(scope="module", params=WRITERS)
def layout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    root = tmp_path_factory.mktemp("data") / request.param
    code, result = run("synth", request.param, root, "--films", "20", "--seed", "3")
    assert (code, result["films"]) == (0, 20)
    return request.param, root


def test_is_recognised_and_healthy(layout: tuple[str, Path]) -> None:
    name, root = layout
    assert recognise(root) == name
    code, facts = run("doctor", root, "--quiet")
    assert (code, facts["findings"]) == (0, [])
    assert facts["films"] == {"read": facts["samples"], "unreadable": 0, "constant": 0}
    assert facts["samples"] + sum(facts["excluded"].values()) >= 10


def test_no_patient_is_on_two_sides(layout: tuple[str, Path]) -> None:
    dataset = open_data(DataConfig(root=layout[1]))
    require_no_leak(dataset)
    assert {pair.split for pair in dataset} == {"train", "validation", "test"}


def test_prepared_shards_hold_the_same_samples(layout: tuple[str, Path], tmp_path: Path) -> None:
    code, report = run("prepare", layout[1], tmp_path / "shards", "--side", "32", "--shard-size", "8", "--quiet")
    assert code == 0
    before, after = open_data(DataConfig(root=layout[1])), open_pairs(tmp_path / "shards")
    assert report["films"] == len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert (old.report, old.patient_id, old.split) == (new.report, new.patient_id, new.split)
        assert dict(old.labels) == dict(new.labels)
        assert old.regions == new.regions
        assert max(read_pixels(new.image).shape) == 32
        assert (old.mask is None) == (new.mask is None)


def test_what_is_planted_is_where_the_loader_says(layout: tuple[str, Path]) -> None:
    """Masks and boxes lie on bright pixels, so nothing was flipped, transposed or shifted on the way."""
    name, root = layout
    dataset = open_pairs(root)
    inside, outside = [], []
    for pair in dataset:
        mask = read_pair_mask(pair)
        if mask is not None and mask.any():
            film = read_pixels(pair.image)
            grid = _resample(mask, film.shape)
            inside.append(film[grid > 0].mean())
            outside.append(film[grid == 0].mean())
    if name in (*BOXES, "siim", "webdataset"):
        assert len(inside) > 3
        assert np.mean(inside) > np.mean(outside) + 0.1
    if name in PAIRED:
        assert all(pair.report for pair in dataset)


def test_its_command_trains_on_it(layout: tuple[str, Path], tmp_path: Path) -> None:
    """Films with texts pretrain; others get a head by what their annotations allow."""
    name, root = layout
    step = {"max_steps": 1, "batch_size": 4}
    if name in (*PAIRED, "webdataset"):
        command, stage = ["pretrain", root, "--recipe", "tiny", "--set", "stages=1"], "stage1"
        command += ["--set", "model.image.side_px=32"]
    else:
        torch.manual_seed(0)
        save(CMCGNS.tiny(side_px=32), tmp_path / "model")
        job = "segmentation" if name == "siim" else "detection" if name in BOXES else "classification"
        command, stage = ["finetune", root, "--job", job, "--model", tmp_path / "model"], "train"
    for key, value in step.items():
        command += ["--set", f"{stage}.{key}={value}"]
    code, result = run(*command, "--run-dir", tmp_path / "run", "--quiet")
    assert code == 0, result
    assert (result["stage1"]["steps"] if stage == "stage1" else result["fit"]["step"]) == 1


def _resample(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = (np.arange(n) * m // n for n, m in zip(shape, mask.shape, strict=True))
    return mask[np.ix_(rows, columns)]


def open_synth(tmp_path: Path, name: str, films: int = 20) -> Any:
    assert run("synth", name, tmp_path / name, "--films", str(films))[0] == 0
    return open_pairs(tmp_path / name)


def test_mimic_leaves_out_what_cannot_be_used_and_says_why(tmp_path: Path) -> None:
    dataset = open_synth(tmp_path, "mimic-cxr")
    assert sorted(dataset.excluded.values()) == [
        "its report has neither findings nor impression",
        "not in the split table",
    ]
    assert all(pair.view in ("AP", "PA") for pair in dataset)
    by_section = [set(pair.sections) & {"findings", "impression"} for pair in dataset]
    assert {"findings"} in by_section
    assert {"impression"} in by_section
    assert any("2.5 cm nodule" in pair.report for pair in dataset)


def test_mimic_reads_reports_from_a_folder_of_their_own(tmp_path: Path) -> None:
    dataset = open_synth(tmp_path, "mimic-cxr")
    root, reports = tmp_path / "mimic-cxr", tmp_path / "reports"
    for path in sorted(root.rglob("*.txt")):
        target = reports / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    assert len(open_pairs(root)) == 0
    assert len(open_pairs(root, reports=reports)) == len(dataset)


def test_chexpert_drops_the_release_folder_of_its_paths_and_keeps_uncertain_labels(tmp_path: Path) -> None:
    dataset = open_synth(tmp_path, "chexpert")
    assert all(read_pixels(pair.image).size for pair in dataset)
    assert sum(value == -1 for pair in dataset for value in pair.labels.values()) == 1
    assert list(dataset.excluded.values()) == ["lateral film"]


def test_rsna_inverts_monochrome1(tmp_path: Path) -> None:
    dataset = open_synth(tmp_path, "rsna")
    levels = [read_pixels(pair.image).mean() for pair in dataset]
    assert abs(levels[0] - np.mean(levels[1:])) < 0.1
    assert {pair.labels["Pneumonia"] for pair in dataset} == {0.0, 1.0}


def test_siim_joins_all_rows_of_a_film(tmp_path: Path) -> None:
    dataset = open_synth(tmp_path, "siim")
    many = [pair for pair in dataset if len(getattr(pair.mask, "rows", ())) > 1]
    assert many
    assert all((pair.mask is not None) == (pair.labels["Pneumothorax"] == PRESENT) for pair in dataset)


def test_covidx_classes_exclude_each_other(tmp_path: Path) -> None:
    dataset = open_synth(tmp_path, "covidx")
    assert (dataset.label_matrix().sum(1) == 1).all()


@pytest.mark.parametrize(
    ("lines", "labels"),
    [
        (["1 a.png positive x", "2 b.png negative x"], ("COVID-19",)),
        (["1 a.png normal", "2 b.png pneumonia"], None),
    ],
)
def test_covidx_reads_older_and_newer_lists(
    tmp_path: Path, lines: list[str], labels: tuple[str, ...] | None
) -> None:
    for side in ("train", "test"):
        (tmp_path / f"{side}_COVIDx9B.txt").write_text("\n".join(lines))
    dataset = open_pairs(tmp_path)
    assert dataset.label_names == (labels or ("Normal", "Pneumonia", "COVID-19"))
    assert len(dataset) == 4


def test_iu_xray_reads_r2gen_annotations(tmp_path: Path) -> None:
    entry = {"id": "CXR1", "report": "Clear lungs.", "image_path": ["CXR1/0.png", "CXR1/1.png"], "split": "train"}
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [entry], "val": [], "test": []}))
    dataset = open_pairs(tmp_path)
    assert [(pair.report, pair.split) for pair in dataset] == [("Clear lungs.", "train")] * 2


def test_roco_version_2_is_read(tmp_path: Path) -> None:
    open_synth(tmp_path, "roco")
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "train_captions.csv").write_text('ID,Caption\nROCO_00001,"Film, frontal."\n')
    (tmp_path / "roco" / "train" / "radiology" / "images").rename(tmp_path / "v2" / "train_images")
    assert [pair.report for pair in open_pairs(tmp_path / "v2")] == ["Film, frontal."]


def test_padchest_gr_has_both_languages_and_sentences_at_boxes(tmp_path: Path) -> None:
    dataset = open_synth(tmp_path, "padchest-gr")
    spanish = open_pairs(tmp_path / "padchest-gr", language="es")
    assert spanish[0].report.startswith("[es]")
    assert all(region.sentence in pair.report for pair in dataset for region in pair.regions)


def test_vindr_counts_readers_that_agree(tmp_path: Path) -> None:
    from cmcgns.data.vindr import load_vindr

    open_synth(tmp_path, "vindr")
    present = [sum(p.label_matrix().sum() for p in [load_vindr(tmp_path / "vindr", readers=n)]) for n in (1, 2, 3)]
    assert present[0] == present[1] > present[2]


def test_a_foreign_webdataset_with_texts_is_read(tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image
    from webdataset import TarWriter

    stream = BytesIO()
    Image.new("L", (20, 10), 99).save(stream, format="JPEG")
    with TarWriter(str(tmp_path / "a.tar"), encoder=False) as tar:
        tar.write({"__key__": "x/1", "jpg": stream.getvalue(), "txt": b"A grey film."})
    (pair,) = open_pairs(tmp_path)
    assert (pair.report, read_pixels(pair.image).shape) == ("A grey film.", (10, 20))
