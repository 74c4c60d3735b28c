"""The commands that use a model, end to end on synthetic data with a small random model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cmcgns.cli import app
from cmcgns.model import CMCGNS
from cmcgns.weights import save


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of 40 films, PadChest-GR with boxes, and a model."""
    root = tmp_path_factory.mktemp("use")
    for layout, films in (("csv", 40), ("padchest-gr", 20)):
        answer = CliRunner().invoke(app, ["synth", layout, str(root / layout), "--films", str(films)])
        assert answer.exit_code == 0
    torch.manual_seed(0)
    save(CMCGNS.tiny(side_px=32), root / "model")
    return root


def run(home: Path, *arguments: str) -> Any:
    """The JSON document of a command."""
    filled = [a.format(home=home) for a in arguments]
    result = CliRunner().invoke(app, [*filled, "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


MODEL = ("--model", "{home}/model")


def test_embed_writes_vectors(home: Path, tmp_path: Path) -> None:
    counts = run(home, "embed", "{home}/csv", *MODEL, "--out", str(tmp_path))
    assert counts == {"images": 40, "reports": 40, "dim": 64}
    assert (tmp_path / "embeddings.safetensors").is_file()


def test_zeroshot_scores_the_findings_of_the_test_side(home: Path, tmp_path: Path) -> None:
    result = run(home, "zeroshot", "{home}/csv", *MODEL, "--label", "Edema", "--label", "Pneumothorax")
    assert [f["name"] for f in result["findings"]] == ["Edema", "Pneumothorax"]
    assert result["findings"][0]["n"] == 6
    prompts = tmp_path / "prompts.toml"
    prompts.write_text('["Edema"]\npositive = ["Wet lungs."]\nnegative = ["Dry lungs."]\n')
    other = run(home, "zeroshot", "{home}/csv", *MODEL, "--label", "Edema", "--prompts", str(prompts))
    assert other["findings"][0]["negation_gap"] != result["findings"][0]["negation_gap"]


def test_retrieve_reports_recall_beside_chance(home: Path) -> None:
    result = run(home, "retrieve", "{home}/csv", *MODEL, "--k", "2", "--side", "train")
    assert [(r["k"], 0 < r["chance"] < 1, r["n"]) for r in result["recalls"]] == [(2, True, 28)] * 2


def test_ground_scores_boxes(home: Path) -> None:
    result = run(home, "ground", "{home}/padchest-gr", *MODEL, "--side", "train")
    assert 0 < result["pointing_chance"] < 0.3
    assert result["pointing"]["n"] == sum(v["n"] for v in result["by_label"].values())


def test_probe_fits_fractions_and_shots(home: Path) -> None:
    result = run(home, "probe", "{home}/csv", *MODEL, "--shots", "2", "--fraction", "1", "--seeds", "2")
    assert [(p["labels"], p["seeds"]) for p in result["probes"]] == [("100 %", 1), ("2 shots", 2)]


def test_evaluate_and_compare_pair_the_same_samples(home: Path, tmp_path: Path) -> None:
    first = run(home, "evaluate", "{home}/csv", *MODEL, "--run-dir", str(tmp_path / "a"))
    assert first["left_out"] == {"grounding": "the data set has no boxes"}
    assert (tmp_path / "a" / "report.html").is_file()
    torch.manual_seed(1)
    save(CMCGNS.tiny(side_px=32), tmp_path / "other")
    run(home, "evaluate", "{home}/csv", "--model", str(tmp_path / "other"), "--run-dir", str(tmp_path / "b"))
    rows = run(home, "compare", "{home}/csv", str(tmp_path / "a"), str(tmp_path / "b"))["measures"]
    assert {"AUROC Edema", "recall@10 image-to-report"} <= {row["measure"] for row in rows}
    assert all(row["p_holm"] is None or row["p_holm"] >= row["p_value"] for row in rows)
    same = run(home, "compare", "{home}/csv", str(tmp_path / "a"), str(tmp_path / "a"))["measures"]
    assert all(row["difference"] in (0, None) for row in same)


def test_compare_refuses_another_side(home: Path, tmp_path: Path) -> None:
    run(home, "evaluate", "{home}/csv", *MODEL, "--run-dir", str(tmp_path / "a"), "--side", "validation")
    arguments = ["compare", str(home / "csv"), str(tmp_path / "a"), str(tmp_path / "a")]
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, "other samples" in result.stderr) == (3, True)


def test_clusters_shows_sentences(home: Path) -> None:
    result = run(home, "clusters", "{home}/csv", *MODEL, "--clusters", "5", "--show", "2")
    assert sum(c["sentences"] for c in result["clusters"]) == result["n"]
    assert all(1 <= len(c["nearest"]) <= 2 for c in result["clusters"])


def test_explain_takes_a_text_or_a_file(home: Path, tmp_path: Path) -> None:
    film = str(next((home / "csv" / "images").iterdir()))
    report = tmp_path / "report.txt"
    report.write_text("No effusion. The heart is enlarged.")
    out = ("--out", str(tmp_path / "page.html"))
    from_file = run(home, "explain", film, str(report), *MODEL, *out)
    from_text = run(home, "explain", film, report.read_text(), *MODEL, *out)
    assert from_file == from_text
    assert len(from_file["sentences"]) == 2


def test_search_ranks_a_folder(home: Path) -> None:
    hits = run(home, "search", "right effusion", "{home}/csv/images", *MODEL, "--top", "3")["hits"]
    similarities = [hit["similarity"] for hit in hits]
    assert len(hits) == 3
    assert similarities == sorted(similarities, reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["tiny-vit", "tiny-resnet"])
def test_export_equals_pytorch_at_other_sizes_than_it_was_traced_with(tmp_path: Path, backbone: str) -> None:
    import onnxruntime

    torch.manual_seed(0)
    model = CMCGNS.tiny(side_px=32, image=backbone).eval()
    save(model, tmp_path / "model")
    result = CliRunner().invoke(
        app, ["export", str(tmp_path / "onnx"), "--model", str(tmp_path / "model"), "--json"]
    )
    assert result.exit_code == 0, result.stderr
    assert max(json.loads(result.stdout)["deviations"].values()) < 1e-5
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "text.onnx"))
    texts = ["No effusion.", "Edema. No fracture. Clear. Heart normal.", "A. B. C.", "x", "The end is near."]
    tokens = model.tokenize(texts)
    names = ("input_ids", "attention_mask", "sentence_ids")
    pooled, rows = session.run(None, {n: t.numpy() for n, t in zip(names, tokens, strict=True)})
    with torch.no_grad():
        expected = model.encode_text(texts)
    assert np.abs(pooled - expected.pooled.numpy()).max() < 1e-5
    padded = expected.sentences.padded()[0].numpy()
    assert np.abs(rows[:, : padded.shape[1]] - padded).max() < 1e-5
    assert not rows[:, padded.shape[1] :].any()


BROKEN = [
    (["zeroshot", "{home}/csv", "--model", "{home}/nowhere"], 4, "nowhere: no such folder; give a run directory"),
    (["zeroshot", "{home}/csv", "--model", "{home}/csv"], 4, "csv: holds no model; give a run directory"),
    (["zeroshot", "{home}/none", *MODEL], 3, "none: expected a data set"),
    (
        ["zeroshot", "{home}/csv", *MODEL, "--label", "Nothing"],
        3,
        "no label Nothing; the data set has Cardiomegaly",
    ),
    (["ground", "{home}/csv", *MODEL], 3, "no boxes"),
    (["probe", "{home}/csv", *MODEL, "--fraction", "0"], 2, "fraction: expected more than 0"),
    (["compare", "{home}/csv", "{home}/nowhere", "{home}/nowhere"], 3, "nowhere: no metrics.json there"),
    (["explain", "{home}/missing.png", "Edema.", *MODEL], 3, "missing.png: cannot be read"),
    (["explain", "{film}", "", *MODEL], 3, "report: no sentence"),
    (["explain", "{film}", "{home}/missing.txt", *MODEL], 3, "missing.txt: cannot be read"),
    (["search", "edema", "{home}/model", *MODEL], 3, "model: no film; expected a folder"),
    (["search", " ", "{home}/csv/images", *MODEL], 3, "query: no word in it"),
    (
        ["search", "edema", "{home}/csv/images", *MODEL, "--index", "v.pkl"],
        2,
        "expected a file that ends in .safetensors",
    ),
    (["export", "{home}/onnx", *MODEL, "--channels", "2"], 2, "channels: expected 1 or 3"),
    (["prepare", "{home}/csv", "{home}/csv"], 2, "csv: holds other files; choose an empty or new folder"),
    (
        ["finetune", "{home}/csv", "--job", "detection", *MODEL, "--run-dir", "{home}/ft"],
        3,
        "nothing annotated for detection",
    ),
    (["evaluate", "{home}/csv", "--model", "hub:x"], 4, "no owner/name of a repository"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BROKEN, ids=[f"{a[0]}-{m[:24]}" for a, _, m in BROKEN])
def test_wrong_input_is_one_line_with_its_exit_code(
    home: Path, arguments: list[str], code: int, message: str
) -> None:
    film = next((home / "csv" / "images").iterdir())
    result = CliRunner().invoke(app, [part.format(home=home, film=film) for part in arguments])
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.exit_code == code, result.stderr
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in result.stderr


def test_more_shots_than_films_are_undefined_and_not_fewer_shots(home: Path) -> None:
    result = run(home, "probe", "{home}/csv", *MODEL, "--shots", "1000", "--seeds", "1")
    (score,) = result["probes"]
    assert score["value"] is None
    assert score["undefined"] == len(score["findings"])
