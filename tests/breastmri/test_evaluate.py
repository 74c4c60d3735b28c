"""A tiny trained model judged: numbers, digests, comparisons, files."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from tests.breastmri.small import breasts, config

from breastmri._shared.errors import CheckpointError, ConfigError, DataError
from breastmri._shared.metrics.classification import auroc
from breastmri.cases import compare_evaluations, comparison_text, read_cases
from breastmri.classifier import load_classifier
from breastmri.evaluate import evaluate_breasts, known_facts, site_probe, write_evaluation
from breastmri.localize import available_localisers, center_errors, inside_lesion, locate
from breastmri.report import evaluation_text, write_report
from breastmri.train import train_breasts


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("method") / "run"
    train_breasts(config(steps=3), breasts(8), [], path, phantom=True, quiet=True, device="cpu")
    return path


@pytest.fixture(scope="module")
def classifier(run_dir):
    return load_classifier(run_dir, device="cpu")


@pytest.fixture(scope="module")
def evaluation(classifier):
    return evaluate_breasts(classifier, breasts(16, seed=5), localisers=["coam"], n_resamples=50, quiet=True)


def test_scores_do_not_depend_on_the_batch_or_on_the_order(classifier):
    test = breasts(6, seed=5)
    scores = classifier.scores(test, batch_size=4)
    np.testing.assert_allclose(scores, classifier.scores(test, batch_size=1), atol=1e-6)
    np.testing.assert_allclose(scores[::-1], classifier.scores(test[::-1]), atol=1e-6)


def test_every_number_rests_on_the_cases(evaluation):
    whole = evaluation.groups[0]
    labels = [case.label for case in evaluation.cases]
    assert whole.auc == pytest.approx(auroc(labels, [case.score for case in evaluation.cases]))
    assert (whole.n, whole.n_positive, whole.n_patients) == (16, 8, 16)
    assert whole.auc_low <= whole.auc <= whole.auc_high
    assert {g.group for g in evaluation.groups} >= {"all", "site=site_a", "site=site_b"}


def test_the_baseline_is_always_there_and_errors_are_those_of_the_centres(evaluation, classifier):
    assert [row.name for row in evaluation.localisers] == ["coam", "enhancement"]
    marked = [b for b in breasts(16, seed=5) if b.label]
    errors = center_errors(locate(classifier, marked, "coam"), marked)
    row = evaluation.localisers[0]
    assert row.n == 8
    assert sorted(row.errors_mm.values()) == pytest.approx(sorted(errors))
    assert row.median_mm.estimate == pytest.approx(np.median(errors))
    assert evaluation.localisers[1].median_mm.estimate < 8


def test_no_identifier_is_in_the_documents(evaluation, tmp_path):
    write_evaluation(evaluation, tmp_path)
    text = (tmp_path / "evaluation.json").read_text() + write_report(evaluation, tmp_path).read_text()
    assert "patient_0" not in text
    assert "phantom_0" not in text
    assert "not for patients" in text
    assert "not for patients" in evaluation_text(evaluation)


def test_two_evaluations_are_compared_case_by_case(evaluation, tmp_path):
    write_evaluation(evaluation, tmp_path)
    cases = read_cases(tmp_path)
    assert cases == list(evaluation.cases)
    better = [replace(case, score=case.score + 3 * case.label) for case in reversed(cases)]
    test = compare_evaluations(better, cases)
    assert test.auc_a == 1.0
    assert test.difference > 0
    assert "A - B +" in comparison_text(test)
    with pytest.raises(DataError, match="the same breasts in both evaluations, got 15 and 16 of which 15"):
        compare_evaluations(cases[1:], cases)
    with pytest.raises(DataError, match="other labels"):
        compare_evaluations([replace(c, label=1 - c.label) for c in cases], cases)
    with pytest.raises(DataError, match="run breastmri evaluate first"):
        read_cases(tmp_path / "nowhere.json")


def test_one_class_is_undefined_and_said_so(classifier):
    healthy = [b for b in breasts(16, seed=5) if not b.label]
    evaluation = evaluate_breasts(classifier, healthy, localisers=["coam"], n_resamples=20, quiet=True)
    whole = evaluation.groups[0]
    assert math.isnan(whole.auc)
    assert whole.auc_undefined == "no positive case"
    assert math.isnan(evaluation.localisers[0].median_mm.estimate)
    assert "undefined (no positive case, n = 8)" in evaluation_text(evaluation)
    json.dumps(evaluation.to_json())


def test_the_site_probe_reads_what_is_there_and_only_that(evaluation):
    cases = [replace(c, site="ab"[i % 2], patient=str(i)) for i, c in enumerate(evaluation.cases * 3)]
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(48, 4))
    telling = noise + 3 * np.array([[c.site == "b"] for c in cases])
    assert site_probe(telling, cases)["balanced_accuracy"] > 0.9
    nothing = site_probe(noise, cases)
    assert nothing["low"] < 0.5 < nothing["high"]
    assert site_probe(noise, [replace(c, site="a") for c in cases])["undefined"] == "one site only"


def test_facts_of_a_study_become_subgroups():
    meta = {"manufacturer": "X", "field_strength": 3.0, "age": "47", "breast_density": ""}
    assert known_facts(meta) == {"vendor": "X", "field_strength_t": "3.0", "age": "below 50"}
    assert known_facts({"age": "unknown"}) == {}


@pytest.mark.parametrize("name", ["coam", "contribution", "grad-cam", "enhancement"])
def test_locations_do_not_depend_on_the_batch(classifier, name):
    test = breasts(4, seed=5)
    together = locate(classifier, test, name, flips=2, batch_size=4)
    alone = locate(classifier, test[2:3], name, flips=2)[0]
    assert together[2].center_mm == pytest.approx(alone.center_mm, abs=1e-3)
    assert together[2].spread_mm == pytest.approx(alone.spread_mm, abs=1e-3)
    assert math.isnan(locate(classifier, test[:1], name, flips=1)[0].spread_mm)


def test_the_baseline_finds_a_planted_lesion_within_a_voxel_or_two_and_inside_it(classifier):
    marked = [b for b in breasts(16, seed=5) if b.label]
    found = locate(classifier, marked, "enhancement", flips=1)
    assert np.median(center_errors(found, marked)) < 8
    assert sum(bool(inside_lesion(f, b)) for f, b in zip(found, marked, strict=True)) >= 6
    assert inside_lesion(found[0], replace(marked[0], lesion=None)) is None


def test_candidates_are_hottest_first_and_apart(classifier):
    candidates = locate(classifier, breasts(2, seed=5), "enhancement")[0].candidates(radius_mm=15)
    assert [c.score for c in candidates] == sorted((c.score for c in candidates), reverse=True)
    for i, a in enumerate(candidates):
        for b in candidates[i + 1 :]:
            assert np.linalg.norm(np.subtract(a.center_mm, b.center_mm)) >= 15


def test_a_model_says_which_localisers_it_has(classifier):
    assert "contribution" in available_localisers(classifier)
    with pytest.raises(ConfigError, match="expected a rule half-max or argmax"):
        locate(classifier, breasts(1), "coam", rule="mean")


def test_calibration_belongs_to_its_weights(run_dir, classifier):
    path = run_dir / "calibration.json"
    stored = {"calibrator": {"kind": "platt", "parameters": [2.0, 1.0], "n": 20}}
    try:
        path.write_text(json.dumps({"weights_sha256": classifier.weights_sha256, **stored}))
        calibrated = load_classifier(run_dir, device="cpu")
        assert calibrated.probs(np.array([0.0]))[0] == pytest.approx(1 / (1 + math.exp(-1)))
        path.write_text(json.dumps({"weights_sha256": "0" * 64, **stored}))
        with pytest.raises(CheckpointError, match="fitted for other weights"):
            load_classifier(run_dir, device="cpu")
        path.write_text("{")
        with pytest.raises(CheckpointError, match="damaged"):
            load_classifier(run_dir, device="cpu")
    finally:
        path.unlink()


def test_nothing_to_evaluate_is_refused(classifier):
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate_breasts(classifier, [], quiet=True)
