"""Spherical k-means: pure functions on tensors, and the online form that pretraining keeps beside its weights."""

from __future__ import annotations

from .kmeans import assign, kmeans, nearest_two, seed_centroids
from .online import OnlineKMeans

__all__ = ["OnlineKMeans", "assign", "kmeans", "nearest_two", "seed_centroids"]
