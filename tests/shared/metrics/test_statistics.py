from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quartet_shared.errors import DataError
from quartet_shared.metrics.statistics import holm, paired_permutation_test, patient_bootstrap

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=8)


def test_interval_agrees_with_scipy_where_every_case_is_a_patient():
    values = np.random.default_rng(3).beta(8, 2, size=30)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    ours = patient_bootstrap(values, range(30), n_resamples=20_000)
    assert ours.estimate == values.mean()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=2e-3)


def test_a_patients_cases_are_drawn_together():
    # Two patients, one of them all 0 and the other all 1: a resample's mean can only be 0, 1 or the share 0.2.
    values, patients = [0.0] * 8 + [1.0] * 2, ["a"] * 8 + ["b"] * 2
    seen = []
    patient_bootstrap(values, patients, statistic=lambda v: seen.append(float(np.mean(v))) or 0.0, n_resamples=200)
    assert set(seen) == {0.0, 0.2, 1.0}


def test_clustered_cases_give_a_wider_interval_than_independent_ones():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=20), 10) + 0.1 * rng.normal(size=200)
    clustered = patient_bootstrap(values, np.repeat(np.arange(20), 10).tolist())
    pretended = patient_bootstrap(values, range(200))
    assert clustered.high - clustered.low > 2 * (pretended.high - pretended.low)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        interval = patient_bootstrap(rng.normal(size=40), range(40), n_resamples=200, confidence=0.9, seed=seed)
        hits += interval.low <= 0.0 <= interval.high
    assert (
        0.82 <= hits / 200 <= 0.96
    )  # four standard errors of a proportion of 0.9, a little shifted: see the docs


@given(SCORES, st.integers(0, 2**32))
@settings(deadline=None)
def test_interval_lies_within_the_data_and_repeats(values, seed):
    first = patient_bootstrap(values, range(len(values)), n_resamples=50, seed=seed)
    assert first == patient_bootstrap(values, range(len(values)), n_resamples=50, seed=seed)
    assert min(values) - 1e-12 <= first.low <= first.high <= max(values) + 1e-12


def test_interval_does_not_depend_on_the_names_of_patients():
    values = [0.1, 0.5, 0.9, 0.3]
    assert patient_bootstrap(values, ["w", "x", "x", "y"]) == patient_bootstrap(values, [4, 2, 2, 1])


@pytest.mark.parametrize(
    ("values", "patients", "reason"),
    [([], [], "no defined value"), ([0.5, 0.7], ["a", "a"], "fewer than 2 patients")],
)
def test_interval_without_two_patients_is_undefined_with_a_reason(values, patients, reason):
    interval = patient_bootstrap(values, patients)
    assert interval.undefined == reason
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_interval_of_a_statistic_that_fails_on_resamples_is_undefined():
    interval = patient_bootstrap([0.0, 1.0], "ab", statistic=lambda v: math.nan if v.min() == v.max() else 1.0)
    assert (interval.estimate, interval.undefined) == (1.0, "the statistic is undefined on some resamples")
    assert math.isnan(interval.low)


def test_missing_patient_ids_are_refused():
    with pytest.raises(DataError, match="got 2 ids for 3 rows"):
        patient_bootstrap([0.1, 0.2, 0.3], ["a", "b"])
    with pytest.raises(DataError, match="got 2 ids for 3 rows"):
        paired_permutation_test([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], ["a", "b"])


def p_by_enumeration(differences):
    """Share of all sign patterns whose mean is at least as far from 0 as the observed one."""
    observed = abs(sum(differences))
    signs = list(itertools.product((1, -1), repeat=len(differences)))
    extreme = [abs(sum(s * d for s, d in zip(sign, differences, strict=True))) for sign in signs]
    return sum(value >= observed * (1 - 1e-9) for value in extreme) / len(signs)


@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 16)), min_size=1, max_size=7))
@settings(deadline=None)
def test_exact_p_value_agrees_with_enumeration(pairs):
    a, b = np.array(pairs).T / 16  # binary fractions: ties stay ties
    test = paired_permutation_test(a, b)
    assert test.exact
    assert test.difference == pytest.approx(np.mean(a - b))
    assert test.p_value == pytest.approx(p_by_enumeration((a - b).tolist()))


def test_random_permutations_approach_the_exact_p_value():
    rng = np.random.default_rng(5)
    a = rng.normal(0.25, 1, size=12)
    exact = paired_permutation_test(a, np.zeros(12))
    sampled = paired_permutation_test(a, np.zeros(12), n_permutations=4000)
    assert (exact.exact, sampled.exact) == (True, False)
    assert sampled.p_value == pytest.approx(exact.p_value, abs=0.03)


def test_swapping_the_methods_flips_the_sign_only():
    a, b = [0.9, 0.5, 0.75, 0.6], [0.5, 0.625, 0.25, 0.5]
    there, back = paired_permutation_test(a, b), paired_permutation_test(b, a)
    assert there.difference == pytest.approx(-back.difference)
    assert there.p_value == back.p_value


def test_six_patients_who_agree_reach_the_smallest_p_value():
    assert paired_permutation_test([1.0] * 6, [0.0] * 6).p_value == 2 / 64


def test_random_p_value_is_never_zero():
    assert paired_permutation_test([1.0] * 40, [0.0] * 40, n_permutations=99).p_value == pytest.approx(0.02)


def test_slices_of_one_patient_are_swapped_together():
    a, b, patients = [1.0] * 12, [0.0] * 12, [p for p in "abc" for _ in range(4)]
    test = paired_permutation_test(a, b, patients)
    assert (test.n_patients, test.p_value, test.difference) == (3, 2 / 8, 1.0)


def test_all_swaps_are_tried_when_they_are_just_allowed():
    a, b = np.arange(1, 7) / 8, np.zeros(6)
    allowed, one_less = (paired_permutation_test(a, b, n_permutations=n) for n in (64, 63))
    assert (allowed.exact, allowed.p_value) == (True, 2 / 64)
    assert not one_less.exact


def test_pairs_with_an_undefined_side_are_dropped_and_counted():
    test = paired_permutation_test([1.0, math.nan, 0.5, 1.0], [0.5, 0.5, math.nan, 0.75], ["a", "b", "c", "d"])
    assert (test.difference, test.n_patients, test.dropped) == (0.375, 2, 2)


def test_one_patient_proves_nothing_and_none_is_undefined():
    one = paired_permutation_test([1.0, 0.5], [0.0, 0.0], ["a", "a"])
    assert (one.difference, one.p_value, one.n_patients) == (0.75, 1.0, 1)
    none = paired_permutation_test([math.nan], [1.0])
    assert math.isnan(none.p_value)
    assert math.isnan(none.difference)


def test_unpaired_lengths_are_refused():
    with pytest.raises(DataError, match=r"got shapes \(2,\), \(3,\)"):
        paired_permutation_test([0.1, 0.2], [0.1, 0.2, 0.3])


def test_holm_reproduces_a_hand_computed_example():
    # sorted 0.005 0.01 0.03 0.04 times 4 3 2 1 = 0.02 0.03 0.06 0.04, then the running maximum
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one():
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.randoms(use_true_random=False))
def test_holm_keeps_order_and_lies_between_raw_and_bonferroni(p_values, random):
    order = list(range(len(p_values)))
    random.shuffle(order)
    raw, adjusted = np.array(p_values), holm(p_values)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(1, raw * len(raw))).all()
    np.testing.assert_array_equal(holm(raw[order]), adjusted[order])


def test_holm_leaves_tests_that_were_not_made_out_of_the_family():
    np.testing.assert_array_equal(holm([0.01, math.nan, 0.02]), [0.02, math.nan, 0.02])


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_impossible_p_values_are_refused(value):
    with pytest.raises(DataError, match=rf"expected numbers in \[0, 1\], got \[{value}\]"):
        holm([value])
