from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from quartet_shared.errors import DataError
from quartet_shared.metrics.surface import SurfaceDistances, assd, hausdorff, hd95, nsd, surface_distances


@st.composite
def masks_and_spacing(draw):
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6))
    spacing = draw(st.tuples(*[st.sampled_from([0.3, 0.8, 1.0, 2.5, 5.0])] * len(shape)))
    return draw(hnp.arrays(np.bool_, shape)), draw(hnp.arrays(np.bool_, shape)), spacing


def boundary_by_loops(mask):
    """Voxels of the mask with a face neighbour outside the mask or outside the image."""
    found = []
    for at in itertools.product(*map(range, mask.shape)):
        neighbours = []
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            other = list(at)
            other[axis] += step
            inside = 0 <= other[axis] < mask.shape[axis]
            neighbours.append(inside and mask[tuple(other)])
        if mask[at] and not all(neighbours):
            found.append(at)
    return found


def distances_by_loops(start, goal, spacing):
    goals = boundary_by_loops(goal)
    return [
        min((math.dist(np.multiply(a, spacing), np.multiply(b, spacing)) for b in goals), default=math.inf)
        for a in boundary_by_loops(start)
    ]


@given(masks_and_spacing())
@settings(deadline=None)
def test_distances_agree_with_loops_over_boundary_voxels(case):
    pred, ref, spacing = case
    distances = surface_distances(pred, ref, spacing)
    np.testing.assert_allclose(distances.pred_to_ref, distances_by_loops(pred, ref, spacing), rtol=1e-12)
    np.testing.assert_allclose(distances.ref_to_pred, distances_by_loops(ref, pred, spacing), rtol=1e-12)


@given(masks_and_spacing())
def test_scores_are_symmetric_and_bounded(case):
    pred, ref, spacing = case
    there, back = surface_distances(pred, ref, spacing), surface_distances(ref, pred, spacing)
    scores = [
        [hausdorff(d), hd95(d), hd95(d, definition="pooled"), assd(d), nsd(d, tolerance_mm=1.0)]
        for d in (there, back)
    ]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-12)
    if there.defined:
        largest, directed, pooled, mean, share = scores[0]
        assert 0 <= mean <= largest * (1 + 1e-12)
        assert 0 <= pooled <= largest * (1 + 1e-12)
        assert 0 <= directed <= largest <= math.dist([0] * pred.ndim, np.multiply(pred.shape, spacing))
        assert 0 <= share <= 1


@given(masks_and_spacing(), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_or_direction_of_axes(case, random):
    pred, ref, spacing = case
    axes = list(range(pred.ndim))
    random.shuffle(axes)
    flipped = [np.flip(mask, axis=0).transpose(axes) for mask in (pred, ref)]
    one = surface_distances(pred, ref, spacing)
    other = surface_distances(flipped[0], flipped[1], [spacing[axis] for axis in axes])
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(np.sort(a), np.sort(b), rtol=1e-12)


@given(masks_and_spacing(), st.integers(1, 4))
def test_background_around_the_masks_changes_nothing(case, margin):
    pred, ref, spacing = case
    one = surface_distances(pred, ref, spacing)
    other = surface_distances(np.pad(pred, margin), np.pad(ref, margin), spacing)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_identical_masks_have_no_distance():
    ball = sum((axis - 5) ** 2 for axis in np.ogrid[:11, :11, :11]) < 16
    distances = surface_distances(ball, ball, (1, 2, 3))
    assert [hausdorff(distances), hd95(distances), assd(distances), nsd(distances, 0.0)] == [0, 0, 0, 1]


def test_parallel_planes_are_as_far_as_their_spacing_says():
    pred, ref = np.zeros((4, 5, 9), bool), np.zeros((4, 5, 9), bool)
    pred[..., 1], ref[..., 7] = True, True
    distances = surface_distances(pred, ref, (0.7, 0.9, 2.5))
    assert hausdorff(distances) == hd95(distances) == assd(distances) == pytest.approx(15.0)
    assert nsd(distances, 14.9) == 0.0
    assert nsd(distances, 15.0) == 1.0


def test_the_image_border_is_boundary_and_the_inside_is_not():
    whole, centre = np.ones((5, 5), bool), np.zeros((5, 5), bool)
    centre[2, 2] = True
    distances = surface_distances(whole, centre, (1, 1))
    assert distances.pred_to_ref.size == 16
    assert distances.pred_to_ref.min() == 2.0
    assert distances.ref_to_pred.tolist() == [2.0]


def test_the_two_definitions_of_hd95_differ_as_documented():
    distances = SurfaceDistances(np.zeros(100), np.full(4, 8.0))
    assert hd95(distances) == 8.0
    assert hd95(distances, definition="pooled") == 0.0


@pytest.mark.parametrize("swap", [False, True])
def test_distance_to_an_empty_mask_is_undefined_and_nsd_zero(swap):
    masks = [np.ones((2, 2), bool), np.zeros((2, 2), bool)]
    distances = surface_distances(*(masks[::-1] if swap else masks), (1, 1))
    assert sorted(map(len, distances)) == [0, 4]
    assert np.concatenate(distances).tolist() == [math.inf] * 4
    assert all(math.isnan(score(distances)) for score in (hausdorff, hd95, assd))
    assert math.isnan(hd95(distances, definition="pooled"))
    assert nsd(distances, 1.0) == 0.0


def test_two_empty_masks_have_nothing_to_measure():
    distances = surface_distances(np.zeros((2, 2), bool), np.zeros((2, 2), bool), (1, 1))
    assert all(math.isnan(score(distances)) for score in (hausdorff, hd95, assd))
    assert math.isnan(nsd(distances, 1.0))


def test_rounding_does_not_push_a_voxel_out_of_the_tolerance():
    pred, ref = np.eye(1, 4, 0, dtype=bool)[0], np.eye(1, 4, 3, dtype=bool)[0]
    assert nsd(surface_distances(pred, ref, [0.1]), tolerance_mm=0.3) == 1.0


@pytest.mark.parametrize("tolerance", [-1.0, math.nan, math.inf])
def test_impossible_tolerance_is_refused(tolerance):
    with pytest.raises(DataError, match=f"not negative, got {tolerance}"):
        nsd(SurfaceDistances(np.zeros(1), np.zeros(1)), tolerance)


def test_spacing_must_have_one_value_per_axis():
    with pytest.raises(DataError, match="expected 2 positive numbers"):
        surface_distances(np.ones((2, 2), bool), np.ones((2, 2), bool), (1.0, 1.0, 1.0))


def blobs(shape, seed):
    """Two overlapping masks with smooth and ragged parts, some of them on the border."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), 2) for _ in range(2)]
    pred = fields[0] > 0.05
    return pred, (fields[0] + 0.3 * fields[1] > 0.05) & (rng.random(shape) < 0.97)


PARITY = [((40, 30), (0.7, 2.0)), ((24, 20, 12), (0.8, 0.8, 3.0)), ((15, 15, 15), (1.0, 1.0, 1.0))]


@pytest.mark.parametrize(("shape", "spacing"), PARITY)
def test_scores_agree_with_monai(shape, spacing):
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    pred, ref = blobs(shape, seed=1)
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in (pred, ref)]
    options = {"include_background": True, "spacing": spacing}
    distances = surface_distances(pred, ref, spacing)
    expected = {
        "hausdorff": compute_hausdorff_distance(*tensors, **options),
        "hd95": compute_hausdorff_distance(*tensors, percentile=95, **options),
        "assd": compute_average_surface_distance(*tensors, symmetric=True, **options),
        "nsd": compute_surface_dice(*tensors, class_thresholds=[1.5], **options),
    }
    ours = {
        "hausdorff": hausdorff(distances),
        "hd95": hd95(distances),
        "assd": assd(distances),
        "nsd": nsd(distances, 1.5),
    }
    assert ours == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-5)


@pytest.mark.parametrize(("shape", "spacing"), PARITY)
def test_pooled_hd95_agrees_with_medpys_formula(shape, spacing):
    # medpy is not installed: its hd95 is, on full-size arrays, numpy.percentile of both directions stacked
    pred, ref = blobs(shape, seed=2)
    edges = [
        m ^ ndimage.binary_erosion(m, structure=ndimage.generate_binary_structure(m.ndim, 1)) for m in (pred, ref)
    ]
    one = ndimage.distance_transform_edt(~edges[1], sampling=spacing)[edges[0]]
    two = ndimage.distance_transform_edt(~edges[0], sampling=spacing)[edges[1]]
    ours = hd95(surface_distances(pred, ref, spacing), definition="pooled")
    assert ours == pytest.approx(np.percentile(np.hstack((one, two)), 95))


@pytest.mark.parametrize(("shape", "spacing"), [((60, 60, 30), (1.0, 1.0, 2.0)), ((80, 80), (0.5, 1.5))])
def test_surface_distance_package_agrees_where_the_definitions_do(shape, spacing):
    # The package puts surface elements on voxel corners and weighs them by area: extremes agree, a percentile to
    # about a voxel, shares such as NSD only at their ends.
    import surface_distance as reference

    grid = np.ogrid[tuple(slice(size) for size in shape)]

    def ball(shift_px, radius_mm):
        centre = [shape[0] // 2 + shift_px, *(size // 2 for size in shape[1:])]
        return sum(((x - c) * s) ** 2 for x, c, s in zip(grid, centre, spacing, strict=True)) <= radius_mm**2

    pred, ref = ball(0, 15), ball(4, 13)
    theirs = reference.compute_surface_distances(ref, pred, spacing)
    ours = surface_distances(pred, ref, spacing)
    largest = reference.compute_robust_hausdorff(theirs, 100)
    assert hausdorff(ours) == pytest.approx(largest)
    assert hd95(ours) == pytest.approx(reference.compute_robust_hausdorff(theirs, 95), abs=min(spacing))
    assert nsd(ours, largest) == reference.compute_surface_dice_at_tolerance(theirs, largest) == 1.0
    assert nsd(ours, largest * 0.98) < 1.0
    assert reference.compute_surface_dice_at_tolerance(theirs, largest * 0.98) < 1.0
