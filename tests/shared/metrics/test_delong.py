"""DeLong's variance against published numbers, a double loop and simulation."""

from __future__ import annotations

import gzip
import itertools
import math
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartet_shared.errors import DataError
from quartet_shared.metrics.delong import auroc_interval, delong, delong_test

# Values of pROC's own tests (R package, version 1.18.0).
AUC = {"wfns": 0.8236789, "s100b": 0.7313686, "ndka": 0.6119580}
VARIANCE = {"wfns": 0.00146991470882363, "s100b": 0.00266868245717244, "ndka": 0.0031908105493913}


def _r_object(data: bytes):
    import rdata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it guesses the kind of file, rightly
        return rdata.conversion.convert(rdata.parser.parse_data(data))


@pytest.fixture(scope="module")
def asah(asset):
    """The table of 113 patients, read from R's lazy-load database without R."""
    folder = asset("proc-asah") / "usr/lib/R/site-library/pROC/data"
    index = _r_object(gzip.decompress((folder / "Rdata.rdx").read_bytes()))
    offset, length = (int(v) for v in index["variables"]["aSAH"])
    chunk = (folder / "Rdata.rdb").read_bytes()[offset : offset + length]
    return _r_object(zlib.decompress(chunk[4:]))


@pytest.fixture(scope="module")
def poor(asah):
    return (np.asarray(asah["outcome"]) == "Poor").astype(int)


def _scores(asah, name):
    return np.asarray(asah[name], dtype=np.float64)


@pytest.mark.assets
@pytest.mark.parametrize("name", AUC)
def test_auc_and_variance_are_those_of_proc(asah, poor, name):
    assert (len(poor), poor.sum()) == (113, 41)
    auc, variance = delong(poor, _scores(asah, name))
    assert round(auc, 7) == AUC[name]
    assert variance == pytest.approx(VARIANCE[name], abs=1e-9, rel=1e-9)


@pytest.mark.assets
def test_paired_test_is_that_of_proc(asah, poor):
    test = delong_test(poor, _scores(asah, "wfns"), _scores(asah, "s100b"))
    assert test.z == pytest.approx(2.20898359144091, abs=1e-9)
    assert test.p_value == pytest.approx(0.0271757822291882, abs=1e-9)
    assert (test.low, test.high) == pytest.approx((0.0104061769564846, 0.174214419249478), abs=1e-9)
    other = delong_test(poor, _scores(asah, "wfns"), _scores(asah, "ndka"))
    assert other.z == pytest.approx(2.79777591868904, abs=1e-9)


@pytest.mark.assets
def test_interval_is_that_of_proc(asah, poor):
    interval = auroc_interval(poor, _scores(asah, "ndka"))
    assert (interval.low, interval.high) == pytest.approx((0.501244999271703, 0.722670989888189), abs=1e-9)
    assert interval[3:] == (41, 72, 113, "")


def _loop(labels, scores, patients):
    """Obuchowski 1997, one pair of cases at a time."""
    positives = [i for i, y in enumerate(labels) if y]
    negatives = [i for i, y in enumerate(labels) if not y]

    def psi(i, j):
        return (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])

    m, n = len(positives), len(negatives)
    auc = sum(psi(i, j) for i, j in itertools.product(positives, negatives)) / (m * n)
    v10 = {i: sum(psi(i, j) for j in negatives) / n for i in positives}
    v01 = {j: sum(psi(i, j) for i in positives) / m for j in negatives}
    groups = sorted(set(patients))
    sum10 = [sum(v10[i] - auc for i in positives if patients[i] == g) for g in groups]
    sum01 = [sum(v01[j] - auc for j in negatives if patients[j] == g) for g in groups]
    k, k10, k01 = (
        len(groups),
        len({patients[i] for i in positives}),
        len({patients[j] for j in negatives}),
    )
    s10 = k10 / (k10 - 1) / m * sum(v**2 for v in sum10)
    s01 = k01 / (k01 - 1) / n * sum(v**2 for v in sum01)
    s11 = k / (k - 1) * sum(a * b for a, b in zip(sum10, sum01, strict=True))
    return auc, s10 / m + s01 / n + 2 * s11 / (m * n)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 4)), min_size=8, max_size=16))
def test_clustered_variance_equals_the_double_loop(cases):
    labels, scores, patients = (list(column) for column in zip(*cases, strict=True))
    if min(len({p for p, y in zip(patients, labels, strict=True) if y == k}) for k in (0, 1)) < 2:
        return
    assert delong(labels, scores, patients) == pytest.approx(_loop(labels, scores, patients), abs=1e-12)
    own = list(range(len(labels)))
    assert delong(labels, scores) == pytest.approx(_loop(labels, scores, own), abs=1e-12)


def test_repeating_every_case_of_a_patient_adds_no_certainty():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 40)
    scores = labels + rng.normal(size=40)
    once = delong(labels, scores)
    five = delong(np.repeat(labels, 5), np.repeat(scores, 5), np.repeat(np.arange(40), 5).tolist())
    assert five.auc == pytest.approx(once.auc)
    assert five.variance == pytest.approx(once.variance, rel=0.05)
    assert delong(np.repeat(labels, 5), np.repeat(scores, 5)).variance < once.variance / 3


def test_one_class_is_undefined_with_its_reason():
    assert all(math.isnan(v) for v in delong([1, 1], [0.1, 0.2]))
    assert delong_test([0, 0], [1, 2], [2, 1]).undefined == "no positive case"
    assert auroc_interval([], []).undefined == "no case"


def test_perfect_separation_and_equal_rankings_have_no_interval():
    assert auroc_interval([0, 0, 1, 1], [1, 2, 3, 4]).undefined == "DeLong's variance is 0"
    same = delong_test([0, 1, 0, 1], [1, 2, 3, 4], [10, 20, 30, 40])
    assert (same.difference, same.undefined) == (0.0, "the variance of the difference is 0")


@pytest.mark.parametrize(
    ("labels", "scores", "match"),
    [([0, 2], [0, 1], "labels 0 and 1"), ([0, 1], [0, np.nan], "finite"), ([0, 1], [0, 1, 2], "one length")],
)
def test_senseless_input_is_refused(labels, scores, match):
    with pytest.raises(DataError, match=match):
        delong(labels, scores)
