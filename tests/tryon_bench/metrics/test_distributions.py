"""Fréchet distance, KID, CMMD, IS and manifold scores against torch-fidelity, clean-fid, pytorch-fid and loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cleanfid.fid import kernel_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy.special import softmax
from tests.tryon_bench import reference_metrics as reference
from torch_fidelity.metric_fid import fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from tryon_bench._shared.errors import ConfigError, DataError
from tryon_bench.metrics import (
    cmmd,
    frechet_distance,
    frechet_from_moments,
    inception_score,
    kid,
    precision_recall_density_coverage,
)
from tryon_bench.metrics.moments import Moments


def sets(n: int, m: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d)) / np.sqrt(d)
    return rng.normal(size=(n, d)) @ mix, rng.normal(size=(m, d)) @ mix * 1.2 + 0.2


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(0), np.cov(x, rowvar=False)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 50, 8), (400, 300, 8), (30, 33, 24)])
def test_frechet_distance_equals_the_programs_with_a_matrix_root(n, m, d):
    x, y = sets(n, m, d)
    expected = calculate_frechet_distance(*moments(x), *moments(y))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(x, y) == pytest.approx(reference.frechet_distance(x, y), rel=1e-6)
    (mean_x, cov_x), (mean_y, cov_y) = moments(x), moments(y)
    fidelity = fid_statistics_to_metric(
        {"mu": mean_x, "sigma": cov_x}, {"mu": mean_y, "sigma": cov_y}, verbose=False
    )["frechet_inception_distance"]
    assert frechet_distance(x, y) == pytest.approx(fidelity, rel=1e-6)


def test_fewer_images_than_features_equal_the_route_over_covariances():
    x, y = sets(20, 25, 64)
    through = frechet_from_moments(*moments(x), *moments(y))
    assert frechet_distance(x, y) == pytest.approx(through, rel=1e-6)


def test_streamed_and_merged_moments_give_the_same_distance():
    x, y = sets(500, 400, 6)
    parts = [Moments.of(part) for part in np.array_split(x, 7)]
    total = sum(parts[1:], parts[0])
    np.testing.assert_allclose(total.covariance, np.cov(x, rowvar=False), rtol=1e-12)
    merged = frechet_from_moments(total.mean, total.covariance, *moments(y))
    assert merged == pytest.approx(frechet_distance(x, y), rel=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_frechet_distance_is_symmetric_and_zero_for_a_set_and_itself(seed):
    x, y = sets(12, 15, 5, seed)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-7)


def test_kid_equals_torch_fidelity_clean_fid_and_the_loop_reference():
    x, y = sets(40, 40, 16)
    whole = {"kid_subsets": 1, "kid_subset_size": 40, "verbose": False}
    fidelity = kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **whole)
    assert kid(x, y) == pytest.approx(fidelity["kernel_inception_distance_mean"], abs=1e-9)
    assert kid(x, y) == pytest.approx(kernel_distance(x, y, num_subsets=1), abs=1e-9)
    assert kid(x, y) == pytest.approx(reference.kid(x, y), abs=1e-9)


def test_kid_over_one_subset_of_everything_is_the_full_form():
    x, y = sets(20, 20, 6)
    assert kid(x, y, subset_size=20, subsets=3) == pytest.approx(kid(x, y), abs=1e-12)


def test_cmmd_equals_the_loop_reference_on_unit_vectors():
    x, y = sets(15, 12, 10)
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    assert cmmd(x, y) == pytest.approx(reference.cmmd(x, y), abs=1e-9)


@pytest.mark.parametrize("splits", [1, 3, 10])
def test_inception_score_equals_torch_fidelity_and_the_loop_reference(splits):
    logits = np.random.default_rng(0).normal(0, 3, size=(60, 7))
    mean, std = inception_score(logits, splits=splits)
    expected = isc_features_to_metric(torch.from_numpy(logits), splits=splits, shuffle=False)
    assert mean == pytest.approx(expected["inception_score_mean"], abs=1e-6)
    assert std == pytest.approx(expected["inception_score_std"], abs=1e-6)
    assert (mean, std) == pytest.approx(reference.inception_score(softmax(logits, axis=1), splits), abs=1e-9)


def test_manifold_scores_equal_the_loop_reference():
    fake, real = sets(30, 35, 4)
    found = precision_recall_density_coverage(fake, real, k=3)
    assert found._asdict() == pytest.approx(reference.prdc(real, fake, k=3), abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((5, 3)), np.zeros((5, 4)), r"got \(5, 3\) and \(5, 4\)"),
        (np.zeros((1, 3)), np.zeros((5, 3)), "at least 2 images"),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "NaN or infinity"),
    ],
)
def test_features_that_are_none_are_refused(x, y, message):
    with pytest.raises(DataError, match=message):
        frechet_distance(x, y)
    with pytest.raises(DataError, match=message):
        kid(x, y)


def test_a_subset_larger_than_the_set_is_refused():
    with pytest.raises(DataError, match="subset_size 9"):
        kid(*sets(8, 8, 3), subset_size=9)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda x, y: kid(x, y, subset_size=4, subsets=0), "kid: subsets 0; expected 1 or more"),
        (lambda x, y: cmmd(x, y, sigma=0), "cmmd: sigma 0; expected a width above 0"),
        (lambda x, y: precision_recall_density_coverage(x, y, k=0), "k 0; expected 1 neighbour or more"),
    ],
)
def test_settings_without_an_answer_are_refused(measure, message):
    with pytest.raises(ConfigError, match=message):
        measure(*sets(8, 9, 3))
