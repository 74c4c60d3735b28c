from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quartet_shared.errors import DataError
from quartet_shared.metrics.overlap import confusion, dice, iou, relative_volume_error, volume_error_ml

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)
MASK_PAIRS = SHAPES.flatmap(lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape)))


def test_values_of_a_hand_counted_pair():
    pred = np.array([[1, 1, 0], [1, 0, 0]], bool)
    ref = np.array([[1, 1, 1], [0, 1, 0]], bool)
    assert confusion(pred, ref) == (2, 1, 2, 1)
    assert dice(pred, ref) == pytest.approx(4 / 7)
    assert iou(pred, ref) == pytest.approx(2 / 5)
    assert relative_volume_error(pred, ref) == pytest.approx(-1 / 4)


@given(MASK_PAIRS)
def test_counts_agree_with_a_loop_over_voxels(pair):
    pred, ref = pair
    loop = [0, 0, 0, 0]
    for p, r in zip(pred.ravel().tolist(), ref.ravel().tolist(), strict=True):
        loop[0 if p and r else 1 if p else 2 if r else 3] += 1
    assert list(confusion(pred, ref)) == loop


@given(MASK_PAIRS)
def test_overlap_is_symmetric_bounded_and_consistent(pair):
    pred, ref = pair
    if not (pred | ref).any():
        assert math.isnan(dice(pred, ref))
        assert math.isnan(iou(pred, ref))
        return
    assert dice(pred, ref) == dice(ref, pred)
    assert iou(pred, ref) == iou(ref, pred)
    assert 0 <= iou(pred, ref) <= dice(pred, ref) <= 1
    assert dice(pred, ref) == pytest.approx(2 * iou(pred, ref) / (1 + iou(pred, ref)))


@given(MASK_PAIRS, st.randoms(use_true_random=False))
def test_overlap_ignores_where_voxels_are(pair, random):
    pred, ref = (mask.ravel() for mask in pair)
    order = list(range(pred.size))
    random.shuffle(order)
    assert confusion(pred[order], ref[order]) == confusion(pred, ref)


def test_one_empty_mask_has_overlap_zero():
    some, none = np.array([True, False]), np.zeros(2, bool)
    assert dice(some, none) == dice(none, some) == iou(some, none) == iou(none, some) == 0.0


def test_relative_volume_error_needs_a_reference():
    some, none = np.array([True, False]), np.zeros(2, bool)
    assert relative_volume_error(none, some) == -1.0
    assert math.isnan(relative_volume_error(some, none))


def test_volume_error_is_signed_and_in_millilitres():
    big, small = np.zeros((10, 10, 10), bool), np.zeros((10, 10, 10), bool)
    big[:5], small[:1] = True, True
    assert volume_error_ml(big, small, (0.5, 2.0, 3.0)) == pytest.approx(400 * 3 / 1000)
    assert volume_error_ml(small, big, (0.5, 2.0, 3.0)) == pytest.approx(-400 * 3 / 1000)


def test_volume_of_an_image_is_refused():
    with pytest.raises(DataError, match=r"three dimensions, got masks of shape \(2, 2\)"):
        volume_error_ml(np.ones((2, 2), bool), np.ones((2, 2), bool), (1.0, 1.0))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, math.nan, 1.0), (1.0, math.inf, 1.0)])
def test_bad_spacing_is_refused(spacing):
    with pytest.raises(DataError, match="expected 3 positive numbers"):
        volume_error_ml(np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool), spacing)


def test_labels_given_as_mask_are_refused():
    with pytest.raises(DataError, match="prediction mask: expected dtype bool, got uint8"):
        dice(np.ones(2, np.uint8), np.ones(2, bool))


def test_shape_mismatch_names_both_shapes():
    with pytest.raises(DataError, match=r"\(2,\) and reference \(1, 2\)"):
        iou(np.ones(2, bool), np.ones((1, 2), bool))


def test_dice_and_iou_agree_with_monai():
    import torch
    from monai.metrics import compute_dice, compute_iou

    rng = np.random.default_rng(0)
    pred, ref = rng.random((2, 9, 8, 7)) < 0.3
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in (pred, ref)]
    assert dice(pred, ref) == pytest.approx(compute_dice(*tensors).item(), abs=1e-6)
    assert iou(pred, ref) == pytest.approx(compute_iou(*tensors).item(), abs=1e-6)
