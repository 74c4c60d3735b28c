"""Planted films: what the report says is where the film shows it."""

from __future__ import annotations

import numpy as np

from cmcgns.data.pairs import ABSENT, PRESENT
from cmcgns.synth.planted import FINDING_NAMES, FINDINGS, planted_dataset, planted_film


def test_a_sample_depends_on_its_seed_and_index_only() -> None:
    few, many = planted_dataset(3, seed=4), planted_dataset(9, seed=4)
    assert [p.report for p in few] == [p.report for p in many][:3]
    assert np.array_equal(few[2].image, many[2].image)
    assert not np.array_equal(few[2].image, planted_dataset(3, seed=5)[2].image)


def test_every_region_is_bright_and_its_sentence_is_in_the_report() -> None:
    for pair in planted_dataset(30, seed=1, side_px=96):
        for region in pair.regions:
            x, y = (round(96 * (region.box[i] + region.box[i + 2]) / 2) for i in (0, 1))
            assert pair.image[y, x] > 130  # the body is at 115, the lungs at 51
            assert region.sentence in pair.report
            assert pair.labels[region.label] == PRESENT


def test_absent_findings_are_denied_or_unmentioned_and_never_asserted() -> None:
    for pair in planted_dataset(30, seed=2):
        for finding in (f for f in FINDINGS if pair.labels[f.name] == ABSENT):
            about = [s for s in pair.report.lower().split(". ") if finding.term in s]
            assert all(s.startswith(("no ", "there is no ")) or "is not seen" in s for s in about)


def test_chosen_findings_are_planted_and_no_others() -> None:
    film = planted_film(np.random.default_rng(0), present=("Edema",))
    assert {name for name, value in film.labels.items() if value == PRESENT} == {"Edema"}
    assert film.mask.any()
    assert not planted_film(np.random.default_rng(0), present=()).mask.any()


def test_every_finding_occurs_and_is_missing_in_a_hundred_films() -> None:
    labels = planted_dataset(100).label_matrix(FINDING_NAMES)
    assert (labels.mean(0) > 0.15).all()
    assert (labels.mean(0) < 0.6).all()
