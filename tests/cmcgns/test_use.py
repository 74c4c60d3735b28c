"""Zero-shot, retrieval, grounding, probes, clusters, search and explanations: an oracle does well, chance is chance."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cmcgns.oracle import OracleEncoder

from cmcgns._shared.errors import ConfigError, DataError
from cmcgns._shared.io.images import write_png
from cmcgns.clusters import sentence_clusters
from cmcgns.data.pairs import Pair, PairDataset
from cmcgns.data.splits import assign_split
from cmcgns.encoders import PretrainedEncoder
from cmcgns.explain import explain, write_explanation
from cmcgns.features import embed_films, write_embeddings
from cmcgns.grounding import ground, sentence_maps
from cmcgns.model import CMCGNS, ImageFeatures
from cmcgns.negation import negate
from cmcgns.probe import probe
from cmcgns.prompts import Prompts, default_prompts, read_prompts
from cmcgns.retrieval import retrieve
from cmcgns.search import search
from cmcgns.sentences import split_sentences
from cmcgns.synth.planted import FINDING_NAMES, planted_dataset
from cmcgns.zeroshot import zero_shot

DATA = planted_dataset(80, seed=7)
ORACLE = OracleEncoder()
TINY = PretrainedEncoder(CMCGNS.tiny(side_px=32), comparable=False)


@pytest.fixture(scope="module")
def random_model() -> PretrainedEncoder:
    torch.manual_seed(0)
    return PretrainedEncoder(CMCGNS.tiny(side_px=32), "random", comparable=False)


def test_the_oracle_is_recognised_by_zero_shot() -> None:
    result = zero_shot(ORACLE, DATA)
    assert result.macro[0] > 0.97
    assert result.macro[1] > 0.9
    assert all(finding.polarity > 0.7 for finding in result.findings)


def test_random_weights_are_at_chance_over_seeds() -> None:
    """One random model can lean either way (bright films lie on one side); their mean cannot."""
    macro, excess = [], []
    for seed in range(6):
        torch.manual_seed(seed)
        model = PretrainedEncoder(CMCGNS.tiny(side_px=32), comparable=False)
        macro.append(zero_shot(model, DATA).macro[0])
        recall = retrieve(model, DATA, ks=(10,)).recalls[0]
        excess.append(recall.value - recall.chance)
    assert abs(np.mean(macro) - 0.5) < 0.1
    assert abs(np.mean(excess)) < 0.08


def test_a_model_that_ignores_negation_is_found_out() -> None:
    """Without the word "no" a text tower answers every denial like a statement: gap 0, polarity one half."""

    class Deaf(OracleEncoder):
        def _sentence(self, text: str) -> torch.Tensor:
            return super()._sentence(text).abs()

    scores = zero_shot(Deaf(), DATA).findings
    assert all(finding.negation_gap < 1e-5 for finding in scores)
    assert all(finding.polarity <= 0.5 for finding in scores)


def test_positive_prompts_alone_are_another_mode() -> None:
    result = zero_shot(ORACLE, DATA, mode="positive")
    assert result.macro[0] > 0.9
    assert np.isnan(result.findings[0].polarity)


def test_a_finding_that_every_film_shows_has_no_auroc() -> None:
    film = DATA[0].image
    data = PairDataset(
        "x", tuple(Pair(film, patient_id=str(i), labels={"Edema": 1.0}) for i in range(3)), ("Edema",)
    )
    result = zero_shot(ORACLE, data)
    assert np.isnan(result.findings[0].auroc)
    assert result.findings[0].undefined == "no negative case"
    assert np.isnan(result.macro[0])


def test_an_unknown_label_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="no label Gout; the data set has Cardiomegaly"):
        zero_shot(ORACLE, DATA, names=["Gout"])


def test_the_oracle_retrieves_above_chance_both_ways() -> None:
    result = retrieve(ORACLE, DATA, ks=(1, 10))
    assert all(recall.low > recall.chance for recall in result.recalls)
    assert {recall.direction for recall in result.recalls} == {"image-to-report", "report-to-image"}


def test_retrieval_does_not_depend_on_the_chunk() -> None:
    whole, parts = (retrieve(ORACLE, DATA, chunk=c).ranks for c in (1024, 7))
    assert all(np.array_equal(whole[d], parts[d]) for d in whole)


def test_the_oracle_points_into_the_boxes_and_shuffled_boxes_do_not_match() -> None:
    result = ground(ORACLE, DATA)
    assert result.pointing.low > 0.8 > result.pointing_chance
    assert result.cnr.value > 0.5
    assert result.others.value < 0.2
    assert result.specific.value == pytest.approx(result.pointing.value - result.others.value)
    pairs = [p for p in DATA if p.regions]
    moved = [Pair(a.image, regions=b.regions, patient_id=a.patient_id) for a, b in pairwise(pairs)]
    assert ground(ORACLE, PairDataset("moved", tuple(moved))).pointing.value < result.pointing.low


class Brightness(OracleEncoder):
    """Every sentence asks for what is bright."""

    def encode_image(self, images: torch.Tensor) -> ImageFeatures:
        grey = torch.nn.functional.avg_pool2d(images, images.shape[-1] // self.grid[0]).flatten(1)
        patches = torch.nn.functional.normalize(torch.stack([grey + 1, torch.ones_like(grey)], -1), dim=-1)
        return ImageFeatures(patches.mean(1), patches, self.grid)

    def _sentence(self, text: str) -> torch.Tensor:
        return torch.tensor([1.0, 0.0])


def test_a_map_that_follows_the_film_and_not_the_sentence_points_no_better_than_other_sentences() -> None:
    result = ground(Brightness(), DATA)
    assert result.pointing.low > 2 * result.pointing_chance  # findings are bright
    assert result.specific.value == pytest.approx(0, abs=1e-9)


def test_boxes_of_one_label_have_no_other_sentences() -> None:
    one = [replace(p, regions=tuple(r for r in p.regions if r.label == "Edema")) for p in DATA]
    result = ground(ORACLE, PairDataset("one", tuple(one)))
    assert result.specific.n == 0
    assert result.specific.undefined == result.pointing.n


def test_sentence_maps_have_the_tensors_size_and_stay_cosines(random_model: PretrainedEncoder) -> None:
    maps = sentence_maps(random_model, torch.zeros(1, 32, 32), ["No effusion.", "Edema. Fracture."])
    assert maps.shape == (2, 32, 32)
    assert np.abs(maps).max() <= 1 + 1e-5


def test_a_data_set_without_boxes_cannot_be_grounded() -> None:
    with pytest.raises(DataError, match="no boxes"):
        ground(ORACLE, PairDataset("x", (Pair(DATA[0].image, "Text."),)))


def test_probes_learn_what_is_in_the_features_and_few_labels_give_less() -> None:
    data = assign_split(planted_dataset(160, seed=3), seed=0)
    few, all_labels, shots = probe(ORACLE, data, fractions=(0.05, 1.0), shots=(4,), seeds=3)
    assert all_labels.value > 0.95
    assert (few.seeds, all_labels.seeds, shots.labels) == (3, 1, "4 shots")
    assert few.low < few.value < few.high
    assert few.n_train == 6


def test_clusters_of_the_oracle_are_findings_and_not_reports() -> None:
    result = sentence_clusters(ORACLE, DATA, k=13)
    assert result.n == sum(c.sentences for c in result.clusters)
    assert result.report_share < 0.3
    edema = next(c for c in result.clusters if "edema" in c.nearest[0][0].lower())
    assert all("edema" in text.lower() for text, _ in edema.nearest)


def films(folder: Path) -> Path:
    for i, pair in enumerate(DATA.pairs[:12]):
        write_png(folder / f"{i:02d}.png", np.asarray(pair.image))
    return folder


def test_search_finds_films_and_its_index_encodes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, index = films(tmp_path / "films"), tmp_path / "index.safetensors"
    query = "There is consolidation in the right upper lobe."
    first = search(ORACLE, query, folder, top=3, index=index)
    shown = [int(hit.film[:2]) for hit in first]
    assert all(DATA[i].labels["Consolidation"] == 1 for i in shown[:1])
    assert first[0].similarity >= first[1].similarity
    monkeypatch.setattr("cmcgns.search.pair_tensor", None)
    assert search(ORACLE, query, folder, top=3, index=index) == first


def test_an_index_of_another_model_is_refused(tmp_path: Path, random_model: PretrainedEncoder) -> None:
    folder, index = films(tmp_path / "films"), tmp_path / "index.safetensors"
    search(ORACLE, "Edema.", folder, index=index)
    with pytest.raises(ConfigError, match="another model"):
        search(random_model, "Edema.", folder, index=index)
    index.write_bytes(b"no index")
    with pytest.raises(ConfigError, match="no index of"):
        search(ORACLE, "Edema.", folder, index=index)


def test_search_passes_over_films_that_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = films(tmp_path / "films")
    (folder / "bad.png").write_bytes(b"<html>")
    with caplog.at_level("WARNING"):
        assert len(search(ORACLE, "Edema.", folder, top=99)) == 12
    assert "1 of 13 films cannot be read" in caplog.text


def test_an_explanation_flags_the_sentence_that_the_film_does_not_support(tmp_path: Path) -> None:
    pair = next(p for p in DATA if p.labels["Edema"] == 1 and p.labels["Pneumothorax"] == 0)
    write_png(tmp_path / "film.png", np.asarray(pair.image))
    report = "There is interstitial edema around the left hilum. There is a large pneumothorax."
    rows, film = explain(ORACLE, tmp_path / "film.png", report)
    assert [row.supported for row in rows] == [True, False]
    assert film.shape == (56, 56)
    assert abs(rows[0].peak[0] - 0.73) < 0.15
    write_explanation(
        ORACLE, tmp_path / "film.png", f"{report} <script>alert(1)</script> seen.", tmp_path / "page.html"
    )
    page = (tmp_path / "page.html").read_text()
    assert "NOT SUPPORTED" in page
    assert f"from {rows[0].heat.min():.3f} (dark) to {rows[0].heat.max():.3f} (bright)" in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    "text", ["No edema.", "There is edema.", "The heart is not enlarged.", "Lungs are clear."]
)
def test_negation_changes_the_sentence(text: str) -> None:
    assert negate(text) != text
    assert ("no" in negate(text).lower().split() or "not" in negate(text).split()) != (
        "no" in text.lower().split() or "not" in text.split()
    )


def test_embeddings_are_written_with_their_rows(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    data = PairDataset("x", (*DATA.pairs[:3], Pair(DATA[0].image, sample_id="bare")))
    assert write_embeddings(ORACLE, data, tmp_path / "out") == {"images": 4, "reports": 3, "dim": 7}
    stored = load_file(tmp_path / "out" / "embeddings.safetensors")
    assert torch.equal(stored["images"], embed_films(ORACLE, data.pairs))
    assert (tmp_path / "out" / "rows.csv").read_text().splitlines()[-1] == "3,bare,,0"


def test_an_unreadable_film_stops_an_evaluation(tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"film\.png"):
        embed_films(ORACLE, [*DATA.pairs[:2], Pair(tmp_path / "film.png")])


def test_prompts_are_read_from_a_file_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "prompts.toml"
    path.write_text('["Edema"]\npositive = ["Edema."]\nnegative = []\n')
    assert read_prompts(path) == {"Edema": Prompts(("Edema.",), ())}
    path.write_text('["Edema"]\nnegative = ["No edema."]\n')
    with pytest.raises(ConfigError, match=r"prompts\.toml: Edema: expected at least one positive"):
        read_prompts(path)
    path.write_text("[[[")
    with pytest.raises(ConfigError, match="not readable as TOML"):
        read_prompts(path)


def test_every_finding_has_statements_and_denials() -> None:
    for prompts in default_prompts([*FINDING_NAMES, "No Finding", "COVID-19"]).values():
        assert len(prompts.positive) >= 2
        assert len(prompts.negative) >= 2


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80))
def test_any_report_is_encoded_or_left_out_and_never_a_traceback(text: str) -> None:
    data = PairDataset("x", (*DATA.pairs[:3], replace(DATA[3], report=text)))
    assert retrieve(TINY, data, ks=(1,)).n in (3, 4)
    maps = [sentence_maps(TINY, torch.zeros(1, 32, 32), [text])] if split_sentences(text) else []
    assert all(m.shape == (1, 32, 32) for m in maps)
