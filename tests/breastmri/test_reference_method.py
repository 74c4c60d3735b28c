"""The loop reference agrees with autograd, with libraries and with the identities of the specification."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from tests.breastmri import reference_method as ref
from torch.nn import functional as F

RNG = np.random.default_rng(7)
MAP = np.maximum(RNG.normal(0.3, 1.0, (6, 11)), 0)
SIGNED = RNG.normal(size=(6, 11))


@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("s", "m"), [(16, 0.2), (30, 0.35), (64, 0.0)])
def test_loss_equals_binary_cross_entropy_on_shifted_logits(y: float, s: float, m: float) -> None:
    for c in np.linspace(-1, 1, 41):
        up, down = (torch.tensor(s * (c + shift), dtype=torch.float64) for shift in (-m, m))
        expected = -(y * F.logsigmoid(up) + (1 - y) * F.logsigmoid(-down))
        assert ref.cmsl_term(c, y, s, m, m) == pytest.approx(float(expected), abs=1e-12)


def test_batch_loss_leaves_ignored_labels_out() -> None:
    cosines, labels = np.array([[0.5, -0.2], [0.1, 0.9]]), np.array([[1, 0], [-1, 1]])
    terms = [ref.cmsl_term(c, y, 16, 0.2, 0.2) for c, y in ((0.5, 1), (-0.2, 0), (0.9, 1))]
    assert ref.cmsl(cosines, labels) == pytest.approx(sum(terms) / 3)
    assert math.isnan(ref.cmsl(cosines, -np.ones((2, 2))))


@pytest.mark.parametrize("label", [0, 1])
def test_gradients_equal_autograd_and_are_tangential(label: int) -> None:
    f, w = (torch.tensor(RNG.normal(size=9), requires_grad=True) for _ in range(2))
    c = F.cosine_similarity(f, w, dim=0)
    loss = -F.logsigmoid(16.0 * ((2 * label - 1) * c - 0.2))
    expected = torch.autograd.grad(loss, [c, f, w])
    ours = ref.cmsl_gradients(f.detach().numpy(), w.detach().numpy(), label, 16.0, 0.2)
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=0, atol=1e-12)
    assert ref.dot(ours[1], f.detach().numpy()) == pytest.approx(0, abs=1e-12)


def test_scale_bound_equals_the_table_of_the_specification() -> None:
    table = [(0.9, 0, 2.20), (0.99, 0.2, 5.74), (0.999, 0.35, 10.63), (0.9, 0.5, 4.39)]
    assert all(ref.smallest_scale(p, m) == pytest.approx(value, abs=0.005) for p, m, value in table)


def test_family_is_the_paper_at_its_defaults_and_two_class_cosface_is_a_member() -> None:
    for c, y in ((0.3, 1), (-0.7, 0), (0.2, 0)):
        assert ref.margin_sigmoid_term(c, y, 16, 0.2, 0.2) == pytest.approx(ref.cmsl_term(c, y, 16, 0.2, 0.2))
        logits = torch.tensor([-c, c], dtype=torch.float64)
        logits[y] -= 0.35
        cosface = F.cross_entropy(30 * logits, torch.tensor(y))
        assert ref.cmsl_term(c, y, 60, 0.175, 0.175) == pytest.approx(float(cosface), abs=1e-12)


def test_head_equals_library_cosine_with_and_without_embedding() -> None:
    features, weight, embedding = RNG.normal(size=(3, 5)), RNG.normal(size=(2, 4)), RNG.normal(size=(4, 5))
    expected = F.normalize(torch.tensor(features @ embedding.T)) @ F.normalize(torch.tensor(weight)).T
    np.testing.assert_allclose(ref.cosine_head(features, weight, embedding), expected.numpy(), atol=1e-14)
    assert ref.cosine_head(np.zeros((1, 5)), np.ones((1, 5)))[0, 0] == 0


def test_gram_map_is_the_pooled_feature_against_each_position() -> None:
    pooled = MAP.mean(1)
    np.testing.assert_allclose(ref.coam(MAP), MAP.T @ pooled, atol=1e-13)
    assert ref.coam(MAP).mean() == pytest.approx(pooled @ pooled)


def test_closed_forms_of_the_other_kinds() -> None:
    w, norms = RNG.normal(size=6), np.linalg.norm(MAP, axis=0)
    np.testing.assert_allclose(ref.coam(MAP, "weighted", w), MAP.T @ (np.maximum(w, 0) * MAP.mean(1)), atol=1e-13)
    np.testing.assert_allclose(ref.coam(MAP, "cosine"), MAP.T @ (MAP / norms).mean(1) / norms, atol=1e-13)
    np.testing.assert_allclose(ref.coam(MAP, "pearson"), np.corrcoef(MAP.T).mean(1), atol=1e-13)
    energy = np.diag(MAP.T @ (MAP @ MAP.T / 11) @ MAP)
    np.testing.assert_allclose(ref.coam(MAP, "energy"), energy, atol=1e-12)


def test_mask_self_exclusion_and_rectification() -> None:
    mask = np.arange(11) % 3 == 0
    np.testing.assert_allclose(ref.coam(MAP, mask=mask * 1.0), MAP.T @ MAP[:, mask].mean(1), atol=1e-13)
    expected = MAP.T @ MAP.mean(1) - (MAP**2).sum(0) / 11
    np.testing.assert_allclose(ref.coam(MAP, exclude_self=True), expected, atol=1e-13)
    np.testing.assert_allclose(ref.coam(MAP, rectified=True), ref.coam(MAP), atol=1e-13)
    expected = np.maximum(SIGNED.T @ SIGNED, 0).mean(1)
    np.testing.assert_allclose(ref.coam(SIGNED, rectified=True), expected, atol=1e-13)


def test_topk_and_softmax_rows() -> None:
    gram = SIGNED.T @ SIGNED
    np.testing.assert_allclose(ref.coam_topk(SIGNED, 4), np.sort(gram, 1)[:, -4:].mean(1), atol=1e-13)
    np.testing.assert_allclose(ref.coam_topk(SIGNED, 11), ref.coam(SIGNED), atol=1e-13)
    share = torch.softmax(torch.tensor(gram), 1).numpy()
    np.testing.assert_allclose(ref.coam_softmax(SIGNED), (share * gram).sum(1), atol=1e-13)
    np.testing.assert_allclose(ref.coam_softmax_received(SIGNED), share.mean(0), atol=1e-13)
    assert ref.coam_softmax_received(SIGNED).sum() == pytest.approx(1)


def test_position_centred_gram_has_no_row_mean() -> None:
    shifted = MAP - MAP.mean(1, keepdims=True)
    np.testing.assert_allclose(ref.coam(shifted), 0, atol=1e-14)  # the trap of 1.5.2


def test_min_max_of_a_flat_map_is_zero() -> None:
    assert ref.min_max(np.array([2.0, 4.0, 3.0])).tolist() == [0, 1, 0.5]
    assert ref.min_max(np.ones((2, 2))).tolist() == [[0, 0], [0, 0]]


def test_attribution_sums_to_the_cosine() -> None:
    weight, embedding = RNG.normal(size=4), RNG.normal(size=(4, 6))
    cosine = ref.cosine_head(MAP.mean(1)[None], weight[None], embedding)[0, 0]
    assert ref.attribution(MAP, weight, embedding).sum() == pytest.approx(cosine, abs=1e-14)
    weight = RNG.normal(size=6)
    cosine = ref.cosine_head(MAP.mean(1)[None], weight[None])[0, 0]
    assert ref.attribution(MAP, weight).sum() == pytest.approx(cosine, abs=1e-14)


def test_centroid_keeps_the_component_of_the_maximum_and_goes_through_the_affine() -> None:
    volume = np.zeros((6, 7, 8))
    volume[1, 1, 1], volume[2, 2, 2] = 4.0, 2.0  # touch by a corner, the second exactly at half
    volume[5, 6, 7] = 3.9  # elsewhere
    assert ref.half_max_centroid(volume) == pytest.approx((8 / 6,) * 3)
    affine = np.array([[0, 0, 3.0, 5], [0, 2, 0, 6], [-1, 0, 0, 7], [0, 0, 0, 1]])
    assert ref.half_max_centroid(volume, affine) == pytest.approx((9, 6 + 16 / 6, 7 - 8 / 6))
    assert ref.half_max_centroid(np.ones((2, 2, 2))) is None


def test_centroid_equals_scipy_labelling() -> None:
    volume = ndimage.gaussian_filter(RNG.normal(size=(9, 10, 11)), 1.5) - 5
    raised = volume - volume.min()
    labels, _ = ndimage.label(raised >= raised.max() / 2, np.ones((3, 3, 3)))
    own = labels[np.unravel_index(raised.argmax(), raised.shape)]
    assert ref.half_max_centroid(volume) == pytest.approx(ndimage.center_of_mass(raised, labels, own))


def test_resnet_cells_are_centred_at_multiples_of_the_stride() -> None:
    layers = [(7, 2, 3), (3, 2, 1)] + [
        (3, stride, 1) for stride in (1, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1)
    ]
    assert ref.receptive_field(layers) == (0, 32)
    densenet = [(7, 2, 3), (3, 2, 1), (2, 2, 0), (2, 2, 0), (2, 2, 0)]
    assert ref.receptive_field(densenet) == (14, 32)


def test_auc_equals_the_library_one_with_ties() -> None:
    labels, scores = RNG.integers(0, 2, 60), RNG.integers(0, 8, 60)
    assert ref.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-14)


def test_delong_of_a_case_done_by_hand() -> None:
    labels, scores = np.array([1, 1, 0, 0]), np.array([3.0, 1.0, 2.0, 0.0])
    # components: cases 1, 1/2; controls 1/2, 1; each has sample variance 1/8
    assert ref.auc(labels, scores) == 0.75
    assert ref.delong_variance(labels, scores) == pytest.approx(1 / 8)


def test_paired_variance_is_the_variance_of_the_difference_of_components() -> None:
    labels = RNG.integers(0, 2, 40)
    first, second = RNG.normal(size=40) + labels, RNG.normal(size=40) + 0.4 * labels
    difference, error, p = ref.delong_paired(labels, first, second)
    parts = [np.subtract(a, b) for a, b in zip(*(ref.components(labels, x) for x in (first, second)), strict=True)]
    assert error**2 == pytest.approx(sum(part.var(ddof=1) / len(part) for part in parts))
    assert difference == pytest.approx(parts[0].mean())
    assert 0 < p < 1
