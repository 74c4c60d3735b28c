"""Mean and covariance of a stream of features in float64, mergeable across processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """Count, mean and centred second moment of rows (Chan, Golub and LeVeque 1979).

    Attributes:
        n: rows seen.
        mean: (d,) float64.
        scatter: (d, d) float64, the sum of (x - mean)(x - mean)^T.
    """

    n: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of(cls, rows: NDArray[Any]) -> Moments:
        """Moments of (n, d) rows, n >= 1."""
        values = rows.astype(np.float64)
        mean = values.mean(axis=0)
        centred = values - mean
        return cls(len(values), mean, centred.T @ centred)

    def __add__(self, other: Moments) -> Moments:
        """Moments of both streams together."""
        n = self.n + other.n
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.n / n)
        scatter = self.scatter + other.scatter + np.outer(shift, shift) * (self.n * other.n / n)
        return Moments(n, mean, scatter)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(d, d) unbiased covariance; needs two rows."""
        return self.scatter / (self.n - 1)
