from __future__ import annotations

import math

import pytest
import torch

from mslaunet.predict.members import Members


def _members(*probs: list[float]) -> tuple[Members, torch.Tensor]:
    members = Members()
    for p in probs:
        members.add(torch.tensor(p).log()[None, :, None, None], spread=True)
    return members, members.mean()


def test_the_mean_is_of_probabilities_not_of_logits() -> None:
    _, mean = _members([0.9, 0.1], [0.5, 0.5])
    assert mean.flatten().tolist() == pytest.approx([0.7, 0.3])


def test_equal_members_have_no_mutual_information_and_no_variance() -> None:
    members, mean = _members([0.7, 0.3], [0.7, 0.3], [0.7, 0.3])
    assert members.map("mutual_information", mean).item() == pytest.approx(0, abs=1e-6)
    assert members.map("variance", mean).item() == pytest.approx(0, abs=1e-6)


def test_sure_members_that_disagree_give_only_mutual_information() -> None:
    members, mean = _members([1 - 1e-7, 1e-7], [1e-7, 1 - 1e-7])
    assert members.map("entropy", mean).item() == pytest.approx(1, abs=1e-4)
    assert members.map("mutual_information", mean).item() == pytest.approx(1, abs=1e-4)
    assert members.map("variance", mean).item() == pytest.approx(0.25, abs=1e-4)


def test_entropy_of_a_hand_computed_case() -> None:
    members, mean = _members([0.5, 0.25, 0.25])
    assert members.map("entropy", mean).item() == pytest.approx(1.5 * math.log(2) / math.log(3))
    assert members.map("confidence", mean).item() == pytest.approx(0.5)
