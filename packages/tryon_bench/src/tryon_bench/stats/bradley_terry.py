"""Ranking from blind votes: the Bradley-Terry model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from .._shared.errors import DataError


class Vote(NamedTuple):
    """One answer: which of two methods is better on a pair; `winner` is "" for a tie."""

    pair_id: str
    first: str
    second: str
    winner: str


@dataclass(frozen=True)
class Strength:
    """A method's place in the ranking.

    Attributes:
        method: its name.
        strength: log odds against an average method.
        low: bound of the 95 % interval (normal, from the likelihood's curvature).
        high: the other bound.
        wins: votes won, ties count half.
        votes: votes in which it took part.
    """

    method: str
    strength: float
    low: float
    high: float
    wins: float
    votes: int

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


def bradley_terry(votes: Sequence[Vote], *, prior_votes: float = 0.5) -> list[Strength]:
    r"""Fit \(P(i \succ j) = 1/(1 + e^{s_j - s_i})\) with strengths that sum to 0, best method first.

    A tie counts as half a vote for each. Every two methods that met get `prior_votes` more of each outcome, so that a
    method that never lost has a finite strength (our choice; the interval shows how little is known).

    Args:
        votes: at least one.
        prior_votes: added to both sides of every met pair.

    Raises:
        DataError: no vote, a winner that was not shown, or methods without a chain of votes between them.
    """
    methods = sorted({name for vote in votes for name in (vote.first, vote.second)})
    wins = _wins(votes, methods, prior_votes)
    _require_connected(wins, methods)
    fitted = optimize.minimize(_loss, np.zeros(len(methods)), args=(wins,), jac=True, method="BFGS")
    strengths = fitted.x - fitted.x.mean()
    errors = _standard_errors(strengths, wins)
    reach = float(stats.norm.ppf(0.975))
    rows = [
        Strength(
            method,
            float(strengths[i]),
            float(strengths[i] - reach * errors[i]),
            float(strengths[i] + reach * errors[i]),
            *_record(votes, method),
        )
        for i, method in enumerate(methods)
    ]
    return sorted(rows, key=lambda row: -row.strength)


def _wins(votes: Sequence[Vote], methods: list[str], prior: float) -> NDArray[np.float64]:
    index = {name: i for i, name in enumerate(methods)}
    wins = np.zeros((len(methods),) * 2)
    for vote in votes:
        if vote.first == vote.second or vote.winner not in ("", vote.first, vote.second):
            raise DataError(
                f"vote on {vote.pair_id}: {vote.winner!r} won between {vote.first!r} and {vote.second!r}"
            )
        a, b = index[vote.first], index[vote.second]
        share = 0.5 if not vote.winner else float(vote.winner == vote.first)
        wins[a, b] += share
        wins[b, a] += 1 - share
    met = (wins + wins.T) > 0
    return wins + prior * met


def _require_connected(wins: NDArray[np.float64], methods: list[str]) -> None:
    from scipy.sparse.csgraph import connected_components

    if not methods:
        raise DataError("votes: none; vote on the arena page and export them")
    parts, labels = connected_components(wins > 0, directed=False)
    if parts > 1:
        apart = [name for name, label in zip(methods, labels, strict=True) if label != labels[0]]
        raise DataError(
            f"votes: {', '.join(apart)} never met {methods[0]} or a method that did; more votes are needed"
        )


def _loss(strengths: NDArray[np.float64], wins: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    margin = strengths[:, None] - strengths[None, :]
    loss = float((wins * np.logaddexp(0, -margin)).sum())
    pull = wins / (1 + np.exp(margin))  # of each win on its winner, and against its loser
    # the likelihood does not see a common shift; this keeps it near 0
    return loss + 0.5 * strengths.mean() ** 2, pull.sum(axis=0) - pull.sum(axis=1) + strengths.mean() / len(
        strengths
    )


def _standard_errors(strengths: NDArray[np.float64], wins: NDArray[np.float64]) -> NDArray[np.float64]:
    margin = strengths[:, None] - strengths[None, :]
    p = 1 / (1 + np.exp(-margin))
    weight = (wins + wins.T) * p * (1 - p)
    information = np.diag(weight.sum(axis=1)) - weight
    return np.sqrt(np.clip(np.diag(np.linalg.pinv(information)), 0, None))


def _record(votes: Sequence[Vote], method: str) -> tuple[float, int]:
    own = [vote for vote in votes if method in (vote.first, vote.second)]
    return math.fsum(0.5 if not vote.winner else float(vote.winner == method) for vote in own), len(own)
