"""A difference taken apart: the effect of each cause, averaged over all orders in which causes can be exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray


def shapley(values: Mapping[frozenset[str], NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Shapley values: one cause's change of the number, averaged over every order of exchanging the causes.

    They add up to value(all causes) - value(none), whatever the interactions; changing one choice at a time would
    give another answer for every order.

    Args:
        values: every subset of causes -> number, or an array of them (one per pair).

    Returns:
        Cause -> effect, of the same shape.

    Example:
        >>> v = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 0.0, frozenset("ab"): 3.0}
        >>> {k: float(x) for k, x in shapley({k: np.array(x) for k, x in v.items()}).items()}
        {'a': 2.0, 'b': 1.0}
    """
    causes = sorted(frozenset().union(*values))
    n = len(causes)
    effects = {}
    for cause in causes:
        others = [other for other in causes if other != cause]
        total = np.zeros_like(values[frozenset()])
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for subset in map(frozenset, combinations(others, size)):
                total = total + weight * (values[subset | {cause}] - values[subset])
        effects[cause] = total
    return effects
