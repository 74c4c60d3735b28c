"""What the bench compares with computes the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from cmcgns.layers import CrossModalAttention
from cmcgns.losses import report_loss
from cmcgns.official import update_centroids
from cmcgns.ragged import Ragged


@pytest.fixture(scope="module")
def form():
    path = Path(__file__).resolve().parents[2] / "tools" / "official_losses.py"
    spec = importlib.util.spec_from_file_location("official_losses", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_official_form_gives_our_official_losses(form) -> None:
    torch.manual_seed(0)
    attention = CrossModalAttention(16, "sigmoid")
    patches, rows = F.normalize(torch.randn(3, 5, 16), dim=-1), F.normalize(torch.randn(9, 16), dim=-1)
    sentences, centroids = Ragged(rows, torch.tensor([4, 2, 3])), F.normalize(torch.randn(4, 16), dim=-1)
    ours, theirs = attention(patches, sentences), form.cross_attention(attention, patches, sentences.split())
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)
    cross = F.normalize(ours[1], dim=-1)
    torch.testing.assert_close(update_centroids(cross, centroids), form.update_centroids(cross, centroids))
    torch.testing.assert_close(
        report_loss(rows, cross, centroids, variant="official", false_negatives="bml"),
        form.report_loss(rows, cross, centroids),
    )
