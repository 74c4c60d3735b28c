"""CheXpert's subsets, and the leak of the published split reproduced on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from cmcgns._shared.errors import DataError
from cmcgns.data.chexpert import chexpert_5x200, competition_labels, positions_split
from cmcgns.data.chexpert_labels import CHEXPERT_LABELS, COMPETITION_LABELS
from cmcgns.data.pairs import Pair, PairDataset


def films(count: int) -> PairDataset:
    image = np.zeros((2, 2), np.uint8)
    names = [COMPETITION_LABELS[i % 5] for i in range(count)]
    pairs = (Pair(image, patient_id=f"p{i // 7}", labels={name: 1.0}) for i, name in enumerate(names))
    return PairDataset("chexpert", tuple(pairs), CHEXPERT_LABELS)


def test_5x200_shares_no_patient_with_the_rest() -> None:
    subset, rest = chexpert_5x200(films(100), per_class=3)
    assert [sum(name in pair.labels for pair in subset) for name in COMPETITION_LABELS] == [3] * 5
    assert not {pair.patient_id for pair in subset} & {pair.patient_id for pair in rest}


def test_5x200_takes_no_film_with_a_second_finding() -> None:
    data = films(5)
    both = Pair(data[0].image, patient_id="x", labels={"Edema": 1.0, "Fracture": 1.0})
    with pytest.raises(DataError, match="1 films show Atelectasis alone; expected 2"):
        chexpert_5x200(PairDataset("chexpert", (*data.pairs, both), CHEXPERT_LABELS), per_class=2)


def test_competition_labels_fill_gaps_and_decide_uncertain_ones() -> None:
    pair = Pair(np.zeros((2, 2), np.uint8), labels={"Edema": -1.0, "Cardiomegaly": -1.0})
    (filled,) = competition_labels(PairDataset("chexpert", (pair,), CHEXPERT_LABELS))
    assert dict(filled.labels) == {
        "Atelectasis": 0.0,
        "Cardiomegaly": 0.0,
        "Consolidation": 0.0,
        "Edema": 1.0,
        "Pleural Effusion": 0.0,
    }


def test_the_published_split_leaves_nearly_all_validation_films_in_training() -> None:
    """The public label file gave 4 907 of 5 000; the mechanism gives the same share."""
    sides = positions_split(191_027, held_out=1000, validation=5000)
    both = len(set(sides["train"]) & set(sides["validation"]))
    assert both > 4800
