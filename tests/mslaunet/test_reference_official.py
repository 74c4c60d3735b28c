"""The parity reference itself, checked against facts of the specification; no implementation is involved."""

import numpy as np
import pytest
from tests.mslaunet import reference_official as ref

STAGE3 = "encoder.blocks3.0.attn"


@pytest.fixture(scope="module")
def state():
    return ref.random_official_state(num_classes=9, seed=0)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(7).normal(size=(1, 3, 96, 96))


@pytest.fixture(scope="module")
def logits(state, image):
    return ref.official_forward(state, image)


def split(state):
    """(parameters, buffers) of a state dict."""
    buffers = {k: v for k, v in state.items() if k.rsplit(".", 1)[-1].startswith(("running_", "num_batches"))}
    return {k: v for k, v in state.items() if k not in buffers}, buffers


def count(entries, prefix=""):
    return sum(value.size for key, value in entries.items() if key.startswith(prefix))


# ---------------------------------------------------------------- state dict
def test_entry_and_element_counts(state):
    parameters, buffers = split(state)
    assert len(state) == 757
    assert count(parameters) == 21_896_778
    assert count(buffers) == 8_615
    assert count(split(ref.random_official_state(1, 0))[0]) == 21_878_338


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("encoder.", 21_357_505),
        ("conv_mla.", 370_560),
        ("mlahead.", 147_968),
        ("seg.", 20_745),
        ("encoder.patch_embed1.", 3_264),
        ("encoder.patch_embed2.", 33_152),
        ("encoder.patch_embed3.", 131_840),
        ("encoder.patch_embed4.", 525_824),
        ("encoder.blocks1.", 4 * 43_968),
        ("encoder.blocks2.", 8 * 169_856),
        ("encoder.blocks3.", 11 * 622_148),
        ("encoder.blocks4.", 5 * 2_456_708),
        ("encoder.blocks3.10.attn.", 92_996),
        ("encoder.blocks4.4.attn.", 349_828),
    ],
)
def test_parameters_by_part(state, prefix, expected):
    assert count(split(state)[0], prefix) == expected


def test_unused_parameters(state):
    parameters, _ = split(state)
    assert count(parameters, "encoder.norm.") + count(parameters, "encoder.head.") == 1_537


def test_random_state_is_reproducible_and_has_no_neutral_value(state):
    again = ref.random_official_state(9, 0)
    assert all(np.array_equal(state[key], again[key]) for key in state)
    for key, value in state.items():
        assert value.dtype == (np.int64 if key.endswith("num_batches_tracked") else np.float64)
        assert np.all(value != 0), key
        assert value.size <= 1 or value.std() > 0, key
        assert not key.endswith("running_var") or np.all(value > 0)


# ---------------------------------------------------------------- MSLA
@pytest.mark.parametrize(("token", "branch"), [(0, 0), (48, 0), (49, 1), (97, 1), (98, 2), (147, 3), (195, 3)])
def test_a_token_touches_one_branch_only(state, token, branch):
    tokens = np.random.default_rng(1).normal(size=(1, 196, 256))
    before = ref.msla_branches(state, STAGE3, tokens)
    tokens[0, token] += 1.0
    after = ref.msla_branches(state, STAGE3, tokens)
    touched = [g for g in range(4) if not np.array_equal(before[g], after[g])]
    assert touched == [branch]


def test_legacy_view_is_a_reread_of_the_buffer():
    tokens = np.arange(2 * 4 * 8.0).reshape(2, 4, 8)
    planes = ref.legacy_view(tokens)
    assert planes.shape == (2, 8, 2, 2)
    assert planes[0, 0].tolist() == [[0, 1], [2, 3]]  # the first plane: channels 0..3 of token 0
    assert planes[0, 3].tolist() == [[12, 13], [14, 15]]  # channels 4..7 of token 1
    assert np.array_equal(planes.ravel(), tokens.ravel())
    assert np.array_equal(ref.legacy_unview(planes), tokens)


def test_swapped_roles_when_tokens_equal_channels():
    tokens = np.random.default_rng(2).normal(size=(1, 256, 256))
    planes = ref.legacy_view(tokens)
    assert np.array_equal(planes[0, 17], tokens[0, 17].reshape(16, 16))


def test_implied_matrix_has_column_sums_one_and_other_row_sums():
    rng = np.random.default_rng(3)
    q, k = rng.normal(scale=2.0, size=(2, 1, 196, 16))
    matrix = ref.attend(q, k, np.eye(196)[None])[0]
    assert np.allclose(matrix.sum(axis=0), 1.0, rtol=0, atol=1e-12)
    assert np.ptp(matrix.sum(axis=1)) > 0.1


def test_legacy_merge_index_trace():
    head, token = np.meshgrid(np.arange(4), np.arange(196), indexing="ij")
    labels = np.broadcast_to((1000 * head + token)[None, :, :, None], (1, 4, 196, 16)).astype(float)
    merged = ref.legacy_merge(labels)
    assert merged.shape == (1, 196, 64)
    assert merged[0, 0, ::16].tolist() == [0, 1, 2, 3]
    assert merged[0, 50, ::16].tolist() == [1004, 1005, 1006, 1007]
    assert merged[0, 195, 15::16].tolist() == [3192, 3193, 3194, 3195]


def test_qkv_nesting_order(state):
    """Rows of the qkv matrix are (3, h, e): killing the values of head 3 leaves its 49 merged tokens constant."""
    prefix = f"{STAGE3}.linear_attention"
    weight = state[f"{prefix}.qkv.weight"].copy()
    weight[2 * 64 + 48 :] = 0.0
    y = np.random.default_rng(4).normal(size=(1, 196, 64))
    out = ref.linear_attention({**state, f"{prefix}.qkv.weight": weight}, prefix, y, heads=4)
    assert np.array_equal(out[0, 147:], np.broadcast_to(state[f"{prefix}.proj.bias"], (49, 64)))
    assert np.abs(out[0, :147] - state[f"{prefix}.proj.bias"]).min() > 0


def test_scale_weights_multiply_the_groups(state):
    tokens = np.random.default_rng(5).normal(size=(1, 49, 512))
    prefix = "encoder.blocks4.2.attn"
    out = []
    for scales in (np.zeros(4), np.array([1.0, 0, 0, 0]), np.array([0, 0, 0, 3.0]), np.array([1.0, 0, 0, 3.0])):
        out.append(ref.msla_official({**state, f"{prefix}.scale_weights": scales}, prefix, tokens, heads=8))
    assert np.allclose(ref.legacy_view(out[0]), state[f"{prefix}.final_conv.bias"][:, None, None])
    assert np.allclose(out[1] + out[2] - out[0], out[3])
    assert not np.allclose(out[1], out[0])


# ---------------------------------------------------------------- elementary operations
def test_bilinear_upsample_by_hand():
    x = np.array([[0.0, 3.0], [6.0, 9.0]])[None, None]
    expected = [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]]  # corners kept, steps of 1/3
    assert np.allclose(ref.resize(x, 4)[0, 0], expected, rtol=0, atol=1e-14)


def test_bilinear_keeps_corners_of_a_larger_map():
    x = np.random.default_rng(6).normal(size=(2, 3, 7, 7))
    y = ref.resize(x, 14)
    assert np.allclose(y[..., ::13, ::13], x[..., ::6, ::6])
    assert np.allclose(y[..., 0, 1], x[..., 0, 0] + 6 / 13 * (x[..., 0, 1] - x[..., 0, 0]))
    assert np.array_equal(ref.resize(np.full((1, 1, 1, 1), 5.0), 2), np.full((1, 1, 2, 2), 5.0))


def test_dense_convolution_by_hand():
    """Cross-correlation with zero padding, both input channels summed, then the bias."""
    x = np.stack([np.arange(9.0).reshape(3, 3), np.ones((3, 3))])[None]
    weight = np.zeros((1, 2, 3, 3))
    weight[0, 0, 0, 1], weight[0, 0, 1, 1], weight[0, 1, 1, 2] = 10.0, 1.0, 100.0  # above, centre, right
    y = ref.conv({"c.weight": weight, "c.bias": np.array([0.5])}, "c", x)[0, 0]
    assert y.tolist() == [[100.5, 101.5, 2.5], [103.5, 114.5, 25.5], [136.5, 147.5, 58.5]]


def test_strided_patch_convolution_by_hand():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    weight = np.array([[1.0, 10.0], [100.0, 1000.0]])[None, None]
    y = ref.conv({"c.weight": weight}, "c", x, stride=2)[0, 0]
    assert y.tolist() == [[5410, 7632], [14298, 16520]]


def test_depthwise_by_hand():
    x = np.stack([np.arange(9.0).reshape(3, 3), np.ones((3, 3))])[None]
    weight = np.zeros((2, 1, 3, 3))
    weight[0, 0, 0, 0], weight[1, 0, 2, 1] = 1.0, 2.0  # upper left neighbour; the one below
    y = ref.depthwise({"c.weight": weight, "c.bias": np.array([0.0, 0.5])}, "c", x)[0]
    assert y[0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 3, 4]]
    assert y[1].tolist() == [[2.5] * 3, [2.5] * 3, [0.5] * 3]


def test_norms_and_gelu_by_hand():
    one = {"n.weight": np.array([2.0, 2.0]), "n.bias": np.array([1.0, 1.0])}
    assert np.allclose(ref.layer_norm(one, "n", np.array([[0.0, 4.0]]), 0.0), [[-1.0, 3.0]])
    assert np.allclose(ref.layer_norm(one, "n", np.array([[0.0, 2.0]]), 3.0), [[0.0, 2.0]])
    bn = {**one, "n.running_mean": np.array([1.0, 0.0]), "n.running_var": np.array([4.0, 1.0]) - 1e-5}
    assert np.allclose(ref.batch_norm(bn, "n", np.array([3.0, 3.0]).reshape(1, 2, 1, 1)).ravel(), [3.0, 7.0])
    assert np.allclose(ref.gelu(np.array([0.0, 1.0, -1.0])), [0.0, 0.8413447460685429, -0.15865525393145707])


# ---------------------------------------------------------------- the whole network
def test_logits_are_well_scaled(logits):
    assert logits.shape == (1, 9, 96, 96)
    assert np.isfinite(logits).all()
    assert 0.05 < logits.std() < 20
    assert (logits.std(axis=(0, 2, 3)) > 0.05).all()
    assert len(np.unique(logits.argmax(axis=1))) >= 3


def test_one_channel_is_repeated(state):
    grey = np.random.default_rng(8).normal(size=(1, 1, 32, 32))
    assert np.array_equal(ref.official_forward(state, grey), ref.official_forward(state, grey.repeat(3, axis=1)))


def test_dead_entries_do_not_matter(state, image, logits):
    dead = {k: v + 1 for k, v in state.items() if k.startswith(("encoder.norm.", "encoder.head."))}
    assert len(dead) == 7
    assert np.array_equal(ref.official_forward({**state, **dead}, image), logits)


def test_batch_items_are_independent(state, image, logits):
    pair = np.concatenate([np.zeros_like(image), image])
    assert np.allclose(ref.official_forward(state, pair)[1:], logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 2, 64, 64), (1, 3, 64, 96), (1, 3, 100, 100)])
def test_unsupported_inputs(state, shape):
    with pytest.raises(ValueError, match="square 1- or 3-channel"):
        ref.official_forward(state, np.zeros(shape))


def _concat_merge(heads_out):
    batch, _, n, _ = heads_out.shape
    return heads_out.transpose(0, 2, 1, 3).reshape(batch, n, -1)


def _efficient(q, k, v):
    return ref.softmax(q, axis=2) @ (ref.softmax(k, axis=1).transpose(0, 2, 1) @ v)


def _tanh_gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


LAYER_NORM = ref.layer_norm
MUTANTS = {
    "raster view": {"legacy_view": ref.to_map, "legacy_unview": ref.to_tokens},
    "concat merge": {"legacy_merge": _concat_merge},
    "efficient softmax": {"attend": _efficient},
    "tanh GELU": {"gelu": _tanh_gelu},
    "layer norm eps 1e-5 everywhere": {"layer_norm": lambda s, n, x, eps: LAYER_NORM(s, n, x, 1e-5)},
    "layer norm eps 1e-6 everywhere": {"layer_norm": lambda s, n, x, eps: LAYER_NORM(s, n, x, 1e-6)},
}


@pytest.mark.parametrize("name", MUTANTS)
def test_parity_would_notice(monkeypatch, state, image, logits, name):
    """Each wrong reading moves the logits at least a hundred times further than the parity tolerance of 1e-8."""
    for function, replacement in MUTANTS[name].items():
        monkeypatch.setattr(ref, function, replacement)
    assert np.abs(ref.official_forward(state, image) - logits).max() > 1e-6
