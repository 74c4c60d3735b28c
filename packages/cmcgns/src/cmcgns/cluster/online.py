"""k-means that follows features while they are being learned."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._shared.errors import ConfigError
from .kmeans import assign, kmeans


class OnlineKMeans(nn.Module):
    """Spherical mini-batch k-means with a memory of recent points (our choice; the official one is in `official`).

    Until it starts, points only fill the queue. Then centres are seeded with k-means++ from the queue and settled by
    Lloyd iterations. Afterwards every batch moves the centres it touches,

        c_k <- n(c_k + b_k / (m_k + b_k) (mean of the batch's points of k - c_k)),  m_k <- min(m_k + b_k, memory),

    with counts m_k per centre (Sculley 2010), capped so that centres keep following. A centre without a member for
    `revive_after` steps moves to the point of the queue that is worst represented.

    All state is in buffers, so it is saved, resumed, copied to the GPU and undone with the weights. In eval mode
    `update` does nothing. Under several processes every rank passes the same gathered points and keeps the same state.

    Args:
        dim: width D.
        k: centres wanted; fewer, one per two points, if the queue is too short at the start.
        queue: number of recent points kept.
        start: "step": at `start_step`; "cosine": then, and once the mean cosine that `update` is told is at most
            `start_cosine`.
        start_step: training steps without clusters.
        start_cosine: see `start`.
        burn_in: Lloyd iterations after seeding.
        memory: cap of the counts.
        revive_after: steps without a member before a centre is moved.
        reseed_every: steps after which all centres are seeded anew; None: never.
        seed: decides the seeding.

    Example:
        >>> clusters = OnlineKMeans(dim=2, k=2, start_step=0, queue=8)
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> clusters.update(points)
        >>> clusters.started, clusters.active().shape
        (True, torch.Size([2, 2]))
    """

    centroids: Tensor
    counts: Tensor
    idle: Tensor
    queue: Tensor
    clock: Tensor

    def __init__(
        self,
        dim: int,
        k: int = 128,
        *,
        queue: int = 4096,
        start: Literal["step", "cosine"] = "step",
        start_step: int = 100,
        start_cosine: float = 0.4,
        burn_in: int = 10,
        memory: float = 1000.0,
        revive_after: int = 20,
        reseed_every: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if k < 2 or queue < 4:
            raise ConfigError(f"expected k of at least 2 and a queue of at least 4 points, got {k} and {queue}")
        self.start, self.start_step, self.start_cosine = start, start_step, start_cosine
        self.burn_in, self.memory, self.revive_after = burn_in, memory, revive_after
        self.reseed_every, self.seed = reseed_every, seed
        self.register_buffer("centroids", torch.zeros(k, dim))
        self.register_buffer("counts", torch.zeros(k))
        self.register_buffer("idle", torch.zeros(k, dtype=torch.int64))
        self.register_buffer("queue", torch.zeros(queue, dim))
        # steps, points ever queued, active centres, step of the last seeding
        self.register_buffer("clock", torch.zeros(4, dtype=torch.int64))

    @property
    def started(self) -> bool:
        """Whether there are centres."""
        return int(self.clock[2]) > 0

    def active(self) -> Tensor:
        """The centres in use, a copy (K', D) at unit length; K' is 0 before the start."""
        return self.centroids[: int(self.clock[2])].clone()

    def recent(self) -> Tensor:
        """The queued points (M, D), in no particular order."""
        return self.queue[: min(int(self.clock[1]), len(self.queue))]

    @torch.no_grad()
    def update(self, points: Tensor, pair_cosine: float | None = None) -> None:
        """Take in one batch; does nothing in eval mode.

        Args:
            points: (N, D), the same on all ranks; only directions count.
            pair_cosine: mean cosine of the batch, for `start` "cosine".
        """
        if not self.training or not len(points):
            return
        unit = F.normalize(points.detach().to(self.centroids.dtype), dim=-1)
        self._enqueue(unit)
        self.clock[0] += 1
        if not self.started:
            if self._may_start(pair_cosine):
                self._seed()
        elif self.reseed_every is not None and int(self.clock[0] - self.clock[3]) >= self.reseed_every:
            self._seed()
        else:
            self._follow(unit)
            self._revive()

    def occupancy(self, points: Tensor) -> Tensor:
        """Number of points (N, D) per active centre, (K',) int64."""
        centroids = self.active()
        return torch.bincount(assign(points, centroids), minlength=len(centroids))

    def _may_start(self, pair_cosine: float | None) -> bool:
        late = int(self.clock[0]) > self.start_step
        low = self.start == "step" or (pair_cosine is not None and pair_cosine <= self.start_cosine)
        return late and low and len(self.recent()) >= 4

    def _enqueue(self, unit: Tensor) -> None:
        """Overwrite the oldest points."""
        unit = unit[-len(self.queue) :]
        places = (self.clock[1] + torch.arange(len(unit), device=unit.device)) % len(self.queue)
        self.queue[places] = unit
        self.clock[1] += len(unit)

    def _seed(self) -> None:
        """Centres from the queue: k-means++ and Lloyd; two points per centre at least."""
        points = self.recent()
        k = min(len(self.centroids), len(points) // 2)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.clock[0]))
        self.centroids[:k] = kmeans(points, k, iters=self.burn_in, generator=generator)
        members = torch.bincount(assign(points, self.centroids[:k]), minlength=k)
        self.counts[:k] = members.to(self.counts.dtype).clamp(max=self.memory)
        self.idle.zero_()
        self.clock[2], self.clock[3] = k, self.clock[0]

    def _follow(self, unit: Tensor) -> None:
        """Move the centres that have members towards their mean."""
        k = int(self.clock[2])
        centroids = self.centroids[:k]
        labels = assign(unit, centroids)
        total = torch.zeros_like(centroids).index_add_(0, labels, unit)
        members = torch.bincount(labels, minlength=k).to(unit.dtype)
        rate = members / (self.counts[:k] + members).clamp_min(1)
        mean = total / members.clamp_min(1)[:, None]
        moved = F.normalize(centroids + rate[:, None] * (mean - centroids), dim=-1)
        self.centroids[:k] = torch.where((members > 0)[:, None], moved, centroids)
        self.counts[:k] = (self.counts[:k] + members).clamp(max=self.memory)
        self.idle[:k] = torch.where(members > 0, 0, self.idle[:k] + 1)

    def _revive(self) -> None:
        """Place centres that had no member for long on the queue's worst represented points."""
        k = int(self.clock[2])
        lost = (self.idle[:k] >= self.revive_after).nonzero()[:, 0]
        points = self.recent()
        if not len(lost):
            return
        alive = self.centroids[:k][self.idle[:k] < self.revive_after]
        best = (points @ alive.T).amax(1) if len(alive) else points.new_zeros(len(points))
        worst = best.topk(min(len(lost), len(points)), largest=False).indices
        self.centroids[lost[: len(worst)]] = points[worst]
        self.counts[lost] = 1.0
        self.idle[lost] = 0
