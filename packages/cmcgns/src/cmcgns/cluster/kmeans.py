"""k-means of directions: everything is a cosine, so points and centres are used at unit length.

No function makes a tensor with more than two large axes; the largest are (N, K) and (N, D).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .._shared.errors import ConfigError

Init = Literal["k-means++", "random", "official"]


def assign(points: Tensor, centroids: Tensor) -> Tensor:
    """Nearest centre of every point, by cosine.

    Args:
        points: (N, D), any length.
        centroids: (K, D), any length.

    Returns:
        (N,) int64 in [0, K); of equal cosines the first centre wins.

    Example:
        >>> assign(torch.tensor([[2.0, 0.1], [0.0, -3.0]]), torch.tensor([[1.0, 0.0], [0.0, -1.0]])).tolist()
        [0, 1]
    """
    return _cosines(points, centroids).argmax(1)


def nearest_two(points: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest and second nearest centre of every point, by cosine: two (N,) int64.

    Raises:
        ConfigError: there is only one centre.

    Example:
        >>> [i.tolist() for i in nearest_two(torch.tensor([[3.0, 1.0]]), torch.eye(2))]
        [[0], [1]]
    """
    if len(centroids) < 2:
        raise ConfigError(f"expected at least 2 centroids to have a second nearest, got {len(centroids)}")
    first, second = _cosines(points, centroids).topk(2, dim=1).indices.unbind(1)
    return first, second


def kmeans(
    points: Tensor,
    k: int,
    init: Init | Tensor = "k-means++",
    iters: int = 10,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Spherical k-means (Dhillon and Modha 2001): centres are unit means of their points.

    A centre that loses all points is placed on the point that is worst represented by its own centre.

    Args:
        points: (N, D); only directions count.
        k: number of centres, at most N.
        init: "k-means++" (greedy, Arthur and Vassilvitskii 2007, on 1 - cosine), "random" rows, "official" (each
            next centre is the row least similar to the last one only), or centres (k, D).
        iters: Lloyd iterations after seeding; it stops early when no point changes its centre.
        generator: source of randomness; None: torch's global one.

    Returns:
        (k, D) unit centres, without gradient.

    Raises:
        ConfigError: k is not in 1..N.

    Example:
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> labels = assign(points, kmeans(points, 2, generator=torch.Generator().manual_seed(0)))
        >>> bool(labels[0] == labels[1] and labels[2] == labels[3] and labels[0] != labels[2])
        True
    """
    unit = F.normalize(points.detach(), dim=-1)
    centroids = (
        F.normalize(init.detach(), dim=-1)
        if isinstance(init, Tensor)
        else seed_centroids(unit, k, init, generator=generator)
    )
    before: Tensor | None = None
    for _ in range(iters):
        similarity = unit @ centroids.T
        best, labels = similarity.max(1)
        if before is not None and torch.equal(labels, before):
            break
        centroids, before = _means(unit, labels, best, centroids), labels
    return centroids


def seed_centroids(
    points: Tensor, k: int, init: Init = "k-means++", generator: torch.Generator | None = None
) -> Tensor:
    """First centres of `kmeans`, rows of the points at unit length: (k, D).

    Raises:
        ConfigError: k is not in 1..N, or the seeding is unknown.
    """
    if not 1 <= k <= len(points):
        raise ConfigError(f"k: expected 1 to {len(points)}, the number of points, got {k}; lower k")
    unit = F.normalize(points.detach(), dim=-1)
    if init == "random":
        rows = torch.randperm(len(unit), generator=generator, device=_home(generator, unit))[:k]
    elif init == "official":
        return farthest_chain(unit, k, int(_draw(torch.ones_like(unit[:, 0]), 1, generator)))
    elif init == "k-means++":
        rows = _plus_plus(unit, k, generator)
    else:
        raise ConfigError(f"init: expected k-means++, random or official, got {init!r}")
    return unit[rows.to(unit.device)]


def farthest_chain(points: Tensor, k: int, first: int) -> Tensor:
    """The official seeding: each next row is the one least similar to the last chosen alone; no row twice.

    Args:
        points: (N, D).
        k: number of centres, at most N.
        first: the row to begin with.

    Returns:
        (k, D) unit vectors.
    """
    unit = F.normalize(points.detach(), dim=-1)
    free = torch.ones(len(unit), dtype=torch.bool, device=unit.device)
    rows = [torch.tensor(first, device=unit.device)]
    for _ in range(k - 1):
        free[rows[-1]] = False
        rows.append((unit @ unit[rows[-1]]).masked_fill(~free, math.inf).argmin())
    return unit[torch.stack(rows)]


def _cosines(points: Tensor, centroids: Tensor) -> Tensor:
    return F.normalize(points.detach(), dim=-1) @ F.normalize(centroids.detach(), dim=-1).T


def _means(unit: Tensor, labels: Tensor, best: Tensor, old: Tensor) -> Tensor:
    """Unit mean of each centre's points; empty centres go to the points of the lowest cosine."""
    k = len(old)
    total = torch.zeros_like(old).index_add_(0, labels, unit)
    count = torch.bincount(labels, minlength=k)
    empty = (count == 0).nonzero()[:, 0]
    if len(empty):
        worst = best.topk(min(len(empty), len(best)), largest=False).indices
        total[empty[: len(worst)]] = unit[worst]
        total[empty[len(worst) :]] = old[empty[len(worst) :]]
    vanished = total.norm(dim=1) < 1e-6  # opposite points cancel: the old direction is as good as any
    return F.normalize(torch.where(vanished[:, None], old, total), dim=-1)


def _plus_plus(unit: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
    """Greedy k-means++: of 2 + log k candidates the one that lowers the sum of 1 - cosine most (as scikit-learn)."""
    trials = 2 + int(math.log(k))
    chosen = _draw(torch.ones_like(unit[:, 0]), 1, generator)
    gap = (1 - unit @ unit[chosen[0]]).clamp_min(0)
    rows = [chosen[0]]
    for _ in range(k - 1):
        weights = gap if bool(gap.sum() > 0) else torch.ones_like(gap)  # all points chosen or equal
        candidates = _draw(weights, min(trials, len(unit)), generator)
        gaps = torch.minimum(gap, (1 - unit[candidates] @ unit.T).clamp_min(0))
        winner = gaps.sum(1).argmin()
        gap = gaps[winner]
        rows.append(candidates[winner])
    return torch.stack(rows)


def _draw(weights: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """Indices drawn in proportion to weights (N,), with replacement (`multinomial` stops at 2^24 categories)."""
    total = weights.double().cumsum(0)
    uniform = torch.rand(count, generator=generator, device=_home(generator, weights), dtype=torch.float64)
    return torch.searchsorted(total, uniform.to(total.device) * total[-1], right=True).clamp_max(len(weights) - 1)


def _home(generator: torch.Generator | None, like: Tensor) -> torch.device:
    return like.device if generator is None else generator.device
