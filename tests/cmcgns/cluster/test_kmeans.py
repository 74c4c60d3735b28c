"""Spherical k-means as functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import adjusted_rand_score

from cmcgns._shared.errors import ConfigError
from cmcgns.cluster import assign, kmeans, nearest_two, seed_centroids


def planted(groups: int, per_group: int, width: int = 64, noise: float = 0.05, seed: int = 0):
    """Points around random directions, and the group of each."""
    generator = torch.Generator().manual_seed(seed)
    centres = F.normalize(torch.randn(groups, width, generator=generator), dim=-1)
    labels = torch.arange(groups).repeat_interleave(per_group)
    return centres[labels] + noise * torch.randn(len(labels), width, generator=generator), labels


def test_assignment_is_by_cosine_whatever_the_lengths() -> None:
    points, centres = torch.randn(50, 8), torch.randn(5, 8)
    expected = F.cosine_similarity(points[:, None], centres[None], dim=-1).argmax(1)
    assert torch.equal(assign(points, centres), expected)
    assert torch.equal(assign(7 * points, centres * torch.rand(5, 1)), expected)


def test_second_nearest_is_the_nearest_of_the_others() -> None:
    points, centres = torch.randn(20, 8), torch.randn(4, 8)
    first, second = nearest_two(points, centres)
    assert torch.equal(first, assign(points, centres))
    similarity = F.cosine_similarity(points[:, None], centres[None], dim=-1).scatter(1, first[:, None], -2.0)
    assert torch.equal(second, similarity.argmax(1))


def test_one_centre_has_no_second() -> None:
    with pytest.raises(ConfigError, match=r"at least 2 centroids .* got 1"):
        nearest_two(torch.randn(3, 4), torch.randn(1, 4))


def test_planted_groups_are_found() -> None:
    points, labels = planted(16, 20)
    found = assign(points, kmeans(points, 16, generator=torch.Generator().manual_seed(1)))
    assert adjusted_rand_score(labels, found) > 0.95


def test_iterations_never_lower_the_mean_cosine() -> None:
    points, _ = planted(8, 20, noise=0.3)
    scores = []
    for iters in range(6):
        centres = kmeans(points, 8, iters=iters, generator=torch.Generator().manual_seed(2))
        scores.append(float((F.normalize(points, dim=-1) @ centres.T).amax(1).mean()))
    assert scores == sorted(scores)


def test_given_centres_are_the_start() -> None:
    points, labels = planted(4, 10)
    start = torch.stack([points[labels == group][0] for group in range(4)])
    assert torch.equal(assign(points, kmeans(points, 4, init=start)), labels)


def test_the_generator_decides_the_result() -> None:
    points, _ = planted(8, 5, noise=0.5)
    same = [kmeans(points, 8, generator=torch.Generator().manual_seed(s)) for s in (3, 3, 4)]
    assert torch.equal(same[0], same[1])
    assert not torch.equal(same[0], same[2])


@pytest.mark.parametrize("init", ["k-means++", "random", "official"])
def test_seeds_are_different_rows_of_the_points(init) -> None:
    points = torch.randn(12, 6)
    seeds = seed_centroids(points, 12, init, generator=torch.Generator().manual_seed(0))
    nearest = assign(seeds, points)
    assert sorted(nearest.tolist()) == list(range(12))
    torch.testing.assert_close(seeds, F.normalize(points[nearest], dim=-1))


def test_equal_points_are_no_reason_to_fail() -> None:
    centres = kmeans(torch.ones(6, 3), 3, generator=torch.Generator().manual_seed(0))
    assert centres.isfinite().all()


def test_a_centre_without_points_takes_the_worst_represented_one() -> None:
    points = torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]])
    start = torch.tensor([[1.0, 0.0], [-1.0, -1.0]])  # nothing is near the second
    centres = kmeans(points, 2, init=start, iters=5)
    assert assign(points, centres).tolist() == [0, 0, 1]


@pytest.mark.parametrize("k", [0, 5])
def test_more_centres_than_points_are_refused(k) -> None:
    with pytest.raises(ConfigError, match=rf"expected 1 to 4, .* got {k}"):
        kmeans(torch.randn(4, 3), k)


def test_no_gradient_flows_through_centres() -> None:
    assert not kmeans(torch.randn(6, 3, requires_grad=True), 2).requires_grad
