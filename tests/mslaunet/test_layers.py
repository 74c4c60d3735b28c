"""What the blocks compute: token layouts, softmax axes, head merges, shift equivariance."""

import itertools

import pytest
import torch

from mslaunet._shared.errors import ConfigError, DataError
from mslaunet.layers import (
    MSLA,
    GlobalBlock,
    LocalBlock,
    PatchEmbed,
    linear_attention,
    map_to_tokens,
    tokens_to_map,
)

LAYOUTS, MERGES, AXES = ("raster", "legacy"), ("concat", "legacy"), ("efficient", "swapped")
RASTER, LEGACY = {"token_layout": "raster"}, {"token_layout": "legacy"}
SWITCHES = [
    {"token_layout": layout, "head_merge": merge, "softmax": axes}
    for layout, merge, axes in itertools.product(LAYOUTS, MERGES, AXES)
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(seed))


def make_msla(dim=32, heads=2, **switches):
    """An MSLA in float64 whose every parameter is random, attention logits of order one included."""
    msla = MSLA(dim, heads, **switches).double().eval()
    generator = seeded(1)
    for parameter in msla.parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64, generator=generator) * 0.3
    return msla


def implied_attention(q, k, axes):
    """The N x N matrix A of A V: linear attention applied to the identity, one head of width N."""
    return linear_attention(q[None], k[None], torch.eye(q.shape[0], dtype=q.dtype)[None], softmax=axes)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (1, 7)])
def test_map_to_tokens_undoes_tokens_to_map(layout, grid):
    tokens = randn(2, grid[0] * grid[1], 8)
    planes = tokens_to_map(tokens, grid, layout)
    assert planes.shape == (2, 8, *grid)
    assert torch.equal(map_to_tokens(planes, layout), tokens)


def test_raster_planes_hold_one_channel_each():
    tokens = randn(1, 6, 4)
    planes = tokens_to_map(tokens, (2, 3), "raster")
    assert planes[0, 3, 1, 2] == tokens[0, 5, 3]


def test_legacy_planes_are_the_reread_buffer():
    tokens = randn(1, 6, 4)
    planes = tokens_to_map(tokens, (2, 3), "legacy")
    assert torch.equal(planes.flatten(), tokens.flatten())


def test_efficient_attention_rows_sum_to_one():
    q, k = randn(2, 9, 9) * 3
    matrix = implied_attention(q, k, "efficient")
    torch.testing.assert_close(matrix.sum(1), torch.ones(9, dtype=torch.float64))
    assert (matrix.sum(0) - 1).abs().max() > 0.1


def test_swapped_attention_columns_sum_to_one():
    q, k = randn(2, 9, 9) * 3
    matrix = implied_attention(q, k, "swapped")
    torch.testing.assert_close(matrix.sum(0), torch.ones(9, dtype=torch.float64))
    assert (matrix.sum(1) - 1).abs().max() > 0.1


def test_concat_puts_the_heads_of_a_token_side_by_side():
    q, k, v = randn(3, 4, 12, 5)
    merged = linear_attention(q, k, v, head_merge="concat")
    for head in range(4):
        alone = linear_attention(q[head : head + 1], k[head : head + 1], v[head : head + 1])
        torch.testing.assert_close(merged[:, 5 * head : 5 * head + 5], alone)


def test_legacy_merge_joins_tokens_of_one_head():
    """At 14 x 14 tokens and 4 heads: token 0 joins tokens 0-3 of head 0, token 50 joins tokens 4-7 of head 1."""
    q, k, v = randn(3, 4, 196, 16)
    by_head = linear_attention(q, k, v, head_merge="concat").unflatten(1, (4, 16))
    legacy = linear_attention(q, k, v, head_merge="legacy")
    assert torch.equal(legacy[0], by_head[0:4, 0].flatten())
    assert torch.equal(legacy[50], by_head[4:8, 1].flatten())


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(("dtype", "ulp"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_gives_the_exact_result_rounded(dtype, ulp, axes):
    """20,000 tokens: weights near 5e-5 would be coarse float16 numbers, and their sums coarser still."""
    q, k, v = (torch.randn(3, 1, 20_000, 4, generator=seeded()) * 2).to(dtype)
    v = v + 100
    half = linear_attention(q, k, v, softmax=axes)
    exact = linear_attention(q.double(), k.double(), v.double(), softmax=axes)
    assert half.dtype == dtype
    assert (half.double() - exact).abs().max() < 1.1 * ulp * exact.abs().max()


def shifted_blob(grid, dim, shift):
    """Tokens of a blob on zeros, at least 6 cells from every border of the grid, and the same blob shifted."""
    height, width = grid
    planes = torch.zeros(1, dim, height, width, dtype=torch.float64)
    planes[..., 8 : height - 8, 8 : width - 8] = randn(1, dim, height - 16, width - 16)
    return map_to_tokens(planes, "raster"), map_to_tokens(planes.roll(shift, (2, 3)), "raster")


def shift_error(msla, shift=(2, -1), grid=(22, 20)):
    """Largest difference between MSLA of the shifted blob and shifted MSLA of the blob, relative."""
    blob, moved = shifted_blob(grid, msla.dim, shift)
    expected = tokens_to_map(msla(blob, grid), grid, "raster").roll(shift, (2, 3))
    received = tokens_to_map(msla(moved, grid), grid, "raster")
    return ((received - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("softmax", AXES)
@torch.no_grad()
def test_raster_layout_is_shift_equivariant(softmax):
    assert shift_error(make_msla(**RASTER, softmax=softmax)) < 1e-12


@pytest.mark.parametrize("softmax", AXES)
@torch.no_grad()
def test_legacy_layout_is_not_shift_equivariant(softmax):
    assert shift_error(make_msla(**LEGACY, softmax=softmax)) > 0.1


@torch.no_grad()
def test_legacy_head_merge_alone_breaks_shift_equivariance():
    assert shift_error(make_msla(**RASTER, head_merge="legacy")) > 0.1


@pytest.mark.parametrize(("token", "touched"), [(0, 0), (98, 2), (195, 3)])
@torch.no_grad()
def test_legacy_scales_see_bands_of_the_image(token, touched):
    """At 224 px stage 3 has 14 x 14 tokens of 256 channels: a token reaches the depthwise kernel of one band only."""
    msla = make_msla(dim=256, heads=4, **LEGACY)
    seen = {}
    for name in msla.branches:
        msla.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    tokens = randn(1, 196, 256)
    msla(tokens, (14, 14))
    before = dict(seen)
    tokens[0, token] += 1
    msla(tokens, (14, 14))
    changed = [i for i, name in enumerate(msla.branches) if not torch.equal(seen[name], before[name])]
    assert changed == [touched]


@torch.no_grad()
def test_raster_scales_all_see_every_token():
    msla = make_msla(dim=32, **RASTER)
    seen = {}
    for name in msla.branches:
        msla.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    tokens = randn(1, 30, 32)
    msla(tokens, (5, 6))
    before = dict(seen)
    tokens[0, 7] += 1
    msla(tokens, (5, 6))
    assert not any(torch.equal(seen[name], before[name]) for name in msla.branches)


@torch.no_grad()
def test_msla_equals_its_formula_group_by_group():
    msla = make_msla(dim=32, heads=2)
    tokens, grid = randn(2, 35, 32), (5, 7)
    planes = tokens.transpose(1, 2).reshape(2, 32, 5, 7)
    groups = []
    for g, k in enumerate((3, 5, 7, 9)):
        x = planes[:, 8 * g : 8 * g + 8]
        conv = msla.get_submodule(f"dw_conv_{k}x{k}.depthwise")
        y = torch.relu(conv(x) + x).flatten(2).transpose(1, 2)
        q, key, v = (y @ msla.linear_attention.qkv.weight.T).chunk(3, dim=-1)
        heads = []
        for h in range(2):
            part = slice(4 * h, 4 * h + 4)
            heads.append(q[..., part].softmax(-1) @ (key[..., part].softmax(1).transpose(1, 2) @ v[..., part]))
        y = msla.linear_attention.proj(torch.cat(heads, -1)) * msla.scale_weights[g]
        groups.append(y.transpose(1, 2).reshape(2, 8, 5, 7))
    expected = msla.final_conv(torch.cat(groups, 1)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(msla(tokens, grid), expected)


@pytest.mark.parametrize("switches", SWITCHES)
def test_every_switch_keeps_parameters_shape_and_gradient(switches):
    msla = make_msla(**switches)
    shapes = {name: p.shape for name, p in MSLA(32, 2).named_parameters()}
    assert {name: p.shape for name, p in msla.named_parameters()} == shapes
    out = msla(randn(2, 24, 32), grid=(4, 6))
    assert out.shape == (2, 24, 32)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in msla.parameters())


@pytest.mark.parametrize("name", ["token_layout", "head_merge", "softmax"])
@torch.no_grad()
def test_each_switch_changes_the_output(name):
    tokens = randn(1, 24, 32)
    other = {"token_layout": "legacy", "head_merge": "legacy", "softmax": "swapped"}[name]
    difference = make_msla()(tokens, (4, 6)) - make_msla(**{name: other})(tokens, (4, 6))
    assert difference.abs().max() > 1e-3


@pytest.mark.parametrize("switches", SWITCHES)
@torch.no_grad()
def test_samples_of_a_batch_do_not_mix(switches):
    msla, tokens = make_msla(**switches), randn(3, 24, 32)
    alone = torch.cat([msla(tokens[i : i + 1], (4, 6)) for i in range(3)])
    torch.testing.assert_close(msla(tokens, (4, 6)), alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dim", "parameters"), [(256, 92_996), (512, 349_828)])
def test_msla_has_the_published_size(dim, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in MSLA(dim, dim // 64).parameters()) == parameters


@pytest.mark.parametrize(
    ("block", "parameters"),
    [
        (lambda: LocalBlock(64), 43_968),
        (lambda: LocalBlock(128), 169_856),
        (lambda: GlobalBlock(256, MSLA(256, 4)), 622_148),
        (lambda: GlobalBlock(512, MSLA(512, 8)), 2_456_708),
        (lambda: PatchEmbed(3, 64, 4), 3_264),
        (lambda: PatchEmbed(256, 512, 2), 525_824),
    ],
)
def test_blocks_have_the_published_size(block, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in block().parameters()) == parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 30, "num_heads": 1}, "dim must be a positive multiple of 4 .* got 30; the next that fits is 32"),
        ({"dim": 32, "num_heads": 3}, "4 kernel sizes x 3 heads, got 32; the next that fits is 36"),
        ({"dim": -4, "num_heads": 1}, "got -4; the next that fits is 4"),
        ({"dim": 32, "num_heads": 0}, "num_heads must be at least 1, got 0"),
        ({"dim": 32, "num_heads": 2, "kernel_sizes": (3, 4)}, r"odd numbers .* got \[3, 4\]"),
        ({"dim": 32, "num_heads": 2, "kernel_sizes": (3, 3)}, r"distinct .* got \[3, 3\]"),
        ({"dim": 32, "num_heads": 2, "kernel_sizes": ()}, r"kernel_sizes .* got \[\]"),
        ({"dim": 32, "num_heads": 2, "token_layout": "Raster"}, "token_layout must be one of raster, legacy"),
        ({"dim": 32, "num_heads": 2, "head_merge": "sum"}, "head_merge must be one of concat, legacy, got 'sum'"),
        ({"dim": 32, "num_heads": 2, "softmax": None}, "softmax must be one of efficient, swapped, got None"),
    ],
)
def test_impossible_msla_is_refused_with_value_and_remedy(arguments, message):
    with pytest.raises(ConfigError, match=message):
        MSLA(**arguments)


@pytest.mark.parametrize("shape", [(1, 25, 32), (1, 24, 16), (24, 32)])
def test_tokens_that_do_not_fit_the_grid_are_refused(shape):
    with pytest.raises(DataError, match=r"expected tokens \(B, 4 \* 6, 32\)"):
        MSLA(32, 2)(torch.zeros(shape), grid=(4, 6))


@torch.no_grad()
def test_local_block_adds_three_residual_branches():
    block = LocalBlock(8).double().eval()
    block.norm1.running_mean.normal_(generator=seeded())
    x = randn(2, 8, 6, 5)
    a = x + block.pos_embed(x)
    b = a + block.conv2(block.attn(block.conv1(block.norm1(a))))
    c = b + block.mlp.fc2(torch.nn.functional.gelu(block.mlp.fc1(block.norm2(b))))
    torch.testing.assert_close(block(x), c)


def test_drop_path_skips_branches_in_training_only():
    torch.manual_seed(0)
    block, x = LocalBlock(8, drop_path=0.9).double(), randn(1, 8, 6, 5)
    kept = x + block.pos_embed(x)
    skipped = [torch.equal(block(x), kept) for _ in range(20)]
    assert any(skipped)
    assert not torch.equal(block.eval()(x), kept)
