"""All methods of an evaluation against each other on one metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..engine.evaluation import Evaluation
from ..engine.results import is_higher_better
from ..stats.comparisons import Comparison, Ranks, compare_methods, rank_methods

LEVEL = 0.05


@dataclass(frozen=True)
class ComparisonTable:
    """All comparisons of one metric under one protocol.

    Attributes:
        protocol: name and hash.
        metric: its name.
        region: of the images.
        comparisons: every two methods.
        ranks: average ranks and their critical difference.
    """

    protocol: str
    metric: str
    region: str
    comparisons: tuple[Comparison, ...]
    ranks: Ranks

    @property
    def significant(self) -> bool:
        """Whether any two methods differ at 5 % after Holm's adjustment."""
        return any(row.p_holm < LEVEL for row in self.comparisons)

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return {
            "protocol": self.protocol,
            "metric": self.metric,
            "region": self.region,
            "comparisons": [row.to_json() for row in self.comparisons],
            "ranks": self.ranks.to_json(),
        }


def compare_metric(evaluation: Evaluation, protocol: str, metric: str, region: str) -> ComparisonTable | None:
    """Compare the methods on one per-pair metric; None where a method has no finite value.

    Args:
        evaluation: of at least two methods.
        protocol: name and hash.
        metric: its name.
        region: all, clothing or person.
    """
    scores = {method: evaluation.column(method, protocol, metric, region) for method in evaluation.methods}
    if not all(any(math.isfinite(value) for value in column.values()) for column in scores.values()):
        return None
    higher = is_higher_better(metric)
    rows = compare_methods(scores, higher_is_better=higher)
    return ComparisonTable(protocol, metric, region, tuple(rows), rank_methods(scores, higher_is_better=higher))
