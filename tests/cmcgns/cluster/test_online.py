"""k-means that follows features: start, update, revival, state."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.cmcgns.cluster.test_kmeans import planted

from cmcgns._shared.errors import ConfigError
from cmcgns.cluster import OnlineKMeans


def started(k: int = 4, **options) -> OnlineKMeans:
    clusters = OnlineKMeans(16, k, start_step=0, queue=64, **options)
    clusters.update(planted(4, 8, 16)[0])
    return clusters


def test_nothing_happens_before_the_start_step_but_filling_the_queue() -> None:
    clusters = OnlineKMeans(16, 4, start_step=2, queue=64)
    points = planted(4, 4, 16)[0]
    for expected in (False, False, True):
        clusters.update(points)
        assert clusters.started is expected
    assert clusters.active().shape == (4, 16)


def test_the_cosine_rule_waits_for_pairs_that_differ() -> None:
    clusters = OnlineKMeans(16, 4, start="cosine", start_step=0, start_cosine=0.4, queue=64)
    points = planted(4, 4, 16)[0]
    clusters.update(points, pair_cosine=0.6)
    assert not clusters.started
    clusters.update(points, pair_cosine=0.3)
    assert clusters.started


def test_centres_never_move_in_eval_mode() -> None:
    clusters = started()
    before = {name: value.clone() for name, value in clusters.state_dict().items()}
    clusters.eval().update(torch.randn(8, 16))
    assert all(torch.equal(value, before[name]) for name, value in clusters.state_dict().items())


def test_nor_do_they_start_there() -> None:
    clusters = OnlineKMeans(16, 4, start_step=0, queue=64).eval()
    clusters.update(planted(4, 4, 16)[0])
    assert not clusters.started


def test_an_update_moves_each_centre_by_its_share_of_the_counts() -> None:
    clusters = OnlineKMeans(2, 2, start_step=0, queue=8, burn_in=0)
    clusters.update(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    first = int(clusters.active()[:, 0].argmax())
    clusters.update(torch.tensor([[3.0, 4.0 / 3]]))  # nearer to the first axis; unit (0.9138, 0.4061)
    expected = F.normalize(
        torch.tensor([1.0, 0.0]) + (torch.tensor([0.9138, 0.4061]) - torch.tensor([1.0, 0.0])) / 3, dim=0
    )
    torch.testing.assert_close(clusters.active()[first], expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(clusters.active()[1 - first], torch.tensor([0.0, 1.0]))
    assert clusters.counts[first] == 3


def test_centres_keep_unit_length() -> None:
    clusters = started()
    for seed in range(20):
        clusters.update(planted(4, 4, 16, noise=0.5, seed=seed)[0])
    torch.testing.assert_close(clusters.active().norm(dim=1), torch.ones(4))


def test_the_memory_caps_the_counts_so_that_centres_keep_following() -> None:
    clusters = started(memory=10.0)
    for _ in range(5):
        clusters.update(planted(4, 8, 16)[0])
    assert clusters.counts.max() == 10


def test_fewer_points_than_two_per_centre_give_fewer_centres() -> None:
    clusters = OnlineKMeans(16, 128, start_step=0, queue=64)
    clusters.update(torch.randn(20, 16))
    assert len(clusters.active()) == 10


def test_the_queue_keeps_the_newest_points() -> None:
    clusters = OnlineKMeans(2, 2, start_step=100, queue=4)
    clusters.update(torch.tensor([[1.0, 0.0]]).repeat(3, 1))
    clusters.update(torch.tensor([[0.0, 1.0]]).repeat(3, 1))
    assert clusters.recent().tolist().count([0.0, 1.0]) == 3
    assert len(clusters.recent()) == 4


def test_a_centre_that_is_idle_for_long_moves_to_where_points_are() -> None:
    clusters = started(revive_after=3)
    elsewhere = planted(1, 16, 16, seed=9)[0]
    lost = clusters.active()
    for _ in range(12):
        clusters.update(elsewhere)
    assert (clusters.idle < 3).all()
    assert (F.normalize(elsewhere, dim=-1) @ clusters.active().T).amax(0).min() > 0.3
    assert (F.normalize(elsewhere, dim=-1) @ lost.T).amax(0).min() < 0.3


def test_centres_are_seeded_anew_on_schedule() -> None:
    clusters = started(reseed_every=2)
    for _ in range(2):
        clusters.update(planted(4, 8, 16, seed=5)[0])
    assert int(clusters.clock[3]) == 3  # the step of the last seeding
    assert clusters.occupancy(planted(4, 8, 16, seed=5)[0]).tolist() == [8, 8, 8, 8]


def test_saved_and_resumed_state_goes_on_bit_equal() -> None:
    def step(clusters: OnlineKMeans, seed: int) -> None:
        clusters.update(planted(4, 6, 16, noise=0.4, seed=seed)[0])

    whole = OnlineKMeans(16, 4, start_step=1, queue=32, revive_after=2, reseed_every=3)
    for seed in range(8):
        step(whole, seed)
    first = OnlineKMeans(16, 4, start_step=1, queue=32, revive_after=2, reseed_every=3)
    for seed in range(4):
        step(first, seed)
    second = OnlineKMeans(16, 4, start_step=1, queue=32, revive_after=2, reseed_every=3)
    second.load_state_dict(first.state_dict())
    for seed in range(4, 8):
        step(second, seed)
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in whole.state_dict().items())


def test_it_has_no_parameter_that_an_optimiser_could_move() -> None:
    assert list(OnlineKMeans(4, 2).parameters()) == []


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="got 1 and 4096"):
        OnlineKMeans(4, 1)
