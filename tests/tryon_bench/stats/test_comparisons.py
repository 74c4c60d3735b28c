"""Paired comparisons, ranks and votes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tryon_bench._shared.errors import DataError
from tryon_bench.stats.bradley_terry import Vote, bradley_terry
from tryon_bench.stats.comparisons import compare_methods, rank_methods


def scores(**means: float) -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(0)
    common = rng.normal(size=40)
    return {
        name: {str(i): float(v) for i, v in enumerate(common + rng.normal(mean, 0.3, 40))}
        for name, mean in means.items()
    }


def test_the_better_method_is_named_by_the_metrics_direction():
    table = scores(a=0.0, b=1.0)
    assert compare_methods(table, higher_is_better=True)[0].better == "b"
    assert compare_methods(table, higher_is_better=False)[0].better == "a"


def test_p_values_are_adjusted_over_all_comparisons():
    rows = compare_methods(scores(a=0.0, b=0.0, c=1.0), higher_is_better=True)
    assert len(rows) == 3
    assert all(row.p_holm >= row.p_value for row in rows)
    assert {row.first + row.second for row in rows if row.p_holm < 0.05} == {"ac", "bc"}


@pytest.mark.slow
def test_permutation_p_values_are_uniform_without_a_difference():
    rng = np.random.default_rng(1)
    p = []
    for repeat in range(150):
        a, b = rng.normal(size=(2, 25))
        table = {name: {str(i): float(v) for i, v in enumerate(row)} for name, row in (("a", a), ("b", b))}
        p.append(compare_methods(table, higher_is_better=True, seed=repeat)[0].p_value)
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_undefined_pairs_are_left_out_and_not_counted():
    table = scores(a=0.0, b=1.0)
    table["a"]["3"] = math.nan
    assert compare_methods(table, higher_is_better=True)[0].n == 39
    assert rank_methods(table, higher_is_better=True).n == 39


def test_ranks_are_those_of_every_pair_and_stability_sums_to_one():
    ranks = rank_methods(scores(a=0.0, b=0.1, c=5.0), higher_is_better=True)
    assert ranks.average["c"] == 1
    assert sum(ranks.average.values()) == pytest.approx(6)
    assert all(sum(row) == pytest.approx(1) for row in ranks.probabilities.values())
    assert ranks.probabilities["c"][0] == 1
    # Demsar (2006), table 5: q = 2.343 for three methods at 5 %
    assert ranks.critical_difference == pytest.approx(2.343 * math.sqrt(3 * 4 / (6 * 40)), rel=1e-3)


def test_methods_without_a_common_pair_are_refused():
    with pytest.raises(DataError, match="no pair in common"):
        compare_methods({"a": {"1": 0.0}, "b": {"2": 0.0}}, higher_is_better=True)


def votes(strengths: dict[str, float], count: int) -> list[Vote]:
    rng = np.random.default_rng(0)
    found = []
    for i in range(count):
        first, second = (str(name) for name in rng.choice(sorted(strengths), 2, replace=False))
        chance = 1 / (1 + math.exp(strengths[second] - strengths[first]))
        found.append(Vote(str(i), first, second, first if rng.random() < chance else second))
    return found


def test_bradley_terry_recovers_strengths_within_its_intervals():
    truth = {"a": 1.0, "b": 0.2, "c": -1.2}
    ranking = bradley_terry(votes(truth, 800))
    assert [row.method for row in ranking] == ["a", "b", "c"]
    assert all(row.low <= truth[row.method] <= row.high for row in ranking)
    assert sum(row.strength for row in ranking) == pytest.approx(0, abs=1e-6)


def test_two_methods_have_the_log_odds_of_their_votes():
    table = [Vote(str(i), "a", "b", "a") for i in range(30)] + [Vote(str(i), "a", "b", "b") for i in range(10)]
    first, second = bradley_terry(table, prior_votes=0.0)
    assert first.strength - second.strength == pytest.approx(math.log(3), abs=1e-4)
    # variance of a log odds: 1/30 + 1/10
    assert (first.high - first.low) / 2 == pytest.approx(1.95996 * math.sqrt(1 / 30 + 1 / 10) / 2, rel=1e-3)


def test_a_tie_is_half_a_vote_for_each():
    first, second = bradley_terry([Vote("1", "a", "b", "")] * 4)
    assert first.strength == pytest.approx(second.strength, abs=1e-6)
    assert (first.wins, first.votes) == (2.0, 4)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "votes: none"),
        ([Vote("1", "a", "b", "c")], "'c' won between 'a' and 'b'"),
        ([Vote("1", "a", "b", "a"), Vote("2", "c", "d", "c")], "never met"),
    ],
)
def test_votes_that_rank_nothing_are_refused(table, message):
    with pytest.raises(DataError, match=message):
        bradley_terry(table)
