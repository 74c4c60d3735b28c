"""The whole network: sizes, names, presets, shapes, determinism, precision, export, errors."""

import inspect
import itertools
import json
import re
import warnings

import pytest
import torch

from mslaunet._shared.errors import ConfigError, DataError
from mslaunet.model import PRESETS, VARIANTS, MSLAUNet


def tiny(num_classes=3, in_channels=3, preset="corrected", seed=0, **arguments):
    torch.manual_seed(seed)
    return MSLAUNet.variant("tiny", num_classes, in_channels, preset, **arguments)


def image(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def on_meta(*args, **kwargs):
    """The network without memory or initialisation: shapes and names only."""
    with torch.device("meta"):
        return MSLAUNet(*args, **kwargs)


def count(module):
    return sum(p.numel() for p in module.parameters())


def official_shapes(classes=9):
    """Appendix A of the specification, written out: name -> shape, without the seven unused entries."""
    shapes = {}

    def weight_bias(name, *shape):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]

    def batch_norm(name, width):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (width,)
        shapes[f"{name}.num_batches_tracked"] = ()

    for stage, (dim, before, k) in enumerate([(64, 3, 4), (128, 64, 2), (256, 128, 2), (512, 256, 2)], start=1):
        weight_bias(f"encoder.patch_embed{stage}.norm", dim)
        weight_bias(f"encoder.patch_embed{stage}.proj", dim, before, k, k)
    for stage, dim, depth in ((1, 64, 4), (2, 128, 8)):
        for i in range(depth):
            block = f"encoder.blocks{stage}.{i}"
            weight_bias(f"{block}.pos_embed", dim, 1, 3, 3)
            batch_norm(f"{block}.norm1", dim)
            weight_bias(f"{block}.conv1", dim, dim, 1, 1)
            weight_bias(f"{block}.conv2", dim, dim, 1, 1)
            weight_bias(f"{block}.attn", dim, 1, 5, 5)
            batch_norm(f"{block}.norm2", dim)
            weight_bias(f"{block}.mlp.fc1", 4 * dim, dim, 1, 1)
            weight_bias(f"{block}.mlp.fc2", dim, 4 * dim, 1, 1)
    for stage, dim, depth in ((3, 256, 11), (4, 512, 5)):
        for i in range(depth):
            block, d = f"encoder.blocks{stage}.{i}", dim // 4
            weight_bias(f"{block}.pos_embed", dim, 1, 3, 3)
            weight_bias(f"{block}.norm1", dim)
            shapes[f"{block}.attn.scale_weights"] = (4,)
            for k in (3, 5, 7, 9):
                weight_bias(f"{block}.attn.dw_conv_{k}x{k}.depthwise", d, 1, k, k)
            shapes[f"{block}.attn.linear_attention.qkv.weight"] = (3 * d, d)
            weight_bias(f"{block}.attn.linear_attention.proj", d, d)
            weight_bias(f"{block}.attn.final_conv", dim, dim, 1, 1)
            weight_bias(f"{block}.norm2", dim)
            weight_bias(f"{block}.mlp.fc1", 4 * dim, dim)
            weight_bias(f"{block}.mlp.fc2", dim, 4 * dim)
    for name, widths in (("p4", (128, 64)), ("p3", (256, 128, 64)), ("p2", (512, 256, 128, 64))):
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            shapes[f"conv_mla.mla_{name}.{4 * i}.weight"] = (after, before, 1, 1)
            batch_norm(f"conv_mla.mla_{name}.{4 * i + 1}", after)
    for level in (2, 3, 4, 5):
        for name in (f"conv_mla.mla_p{level}_3x3", f"mlahead.head{level}"):
            shapes[f"{name}.0.weight"] = (64, 64, 3, 3)
            batch_norm(f"{name}.1", 64)
    weight_bias("seg", classes, 256, 3, 3)
    return shapes


def test_base_has_the_published_parameters():
    model = on_meta(num_classes=9)
    assert count(model) == 21_895_241
    assert count(model.encoder) == 21_357_505 - 1_537
    assert count(model.conv_mla) == 370_560
    assert count(model.mlahead) == 147_968
    assert count(model.seg) == 20_745
    assert sum(b.numel() for b in model.buffers()) == 8_615 - 1_025
    assert count(on_meta(num_classes=1)) == 21_878_338 - 1_537


def test_names_and_shapes_are_those_of_the_official_state_dict():
    expected = official_shapes()
    assert len(expected) == 757 - 7
    assert {name: tuple(t.shape) for name, t in on_meta(9).state_dict().items()} == expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_presets_share_names_and_shapes(variant):
    shapes = []
    for preset in PRESETS:
        with torch.device("meta"):
            state = MSLAUNet.variant(variant, 4, 2, preset).state_dict()
        shapes.append({name: t.shape for name, t in state.items()})
    assert shapes[0] == shapes[1] == shapes[2]


def test_variants_grow():
    with torch.device("meta"):
        sizes = [count(MSLAUNet.variant(name, 9)) for name in ("tiny", "small", "base")]
    assert sizes[0] < 300_000 < sizes[1] < 2_500_000 < sizes[2] == 21_895_241


@pytest.mark.parametrize(
    ("preset", "switches"),
    [
        ("official", ("legacy", "legacy", "swapped", "official")),
        ("corrected", ("raster", "concat", "efficient", "topdown")),
        ("raster-min", ("raster", "legacy", "swapped", "official")),
    ],
)
def test_presets_set_the_four_switches(preset, switches):
    model = tiny(preset=preset)
    names = ("token_layout", "head_merge", "softmax", "aggregation")
    assert tuple(model.config[name] for name in names) == switches
    attention = model.encoder.blocks4[0].attn
    assert attention.token_layout == switches[0]
    assert attention.linear_attention.head_merge == switches[1]
    assert attention.linear_attention.softmax == switches[2]
    assert model.conv_mla.aggregation == switches[3]


def test_a_switch_overrides_its_preset():
    config = tiny(preset="official", softmax="efficient").config
    assert (config["softmax"], config["head_merge"]) == ("efficient", "legacy")


@pytest.mark.parametrize("switch", ["token_layout", "head_merge", "softmax", "aggregation"])
@torch.no_grad()
def test_each_switch_reaches_the_logits(switch):
    x = image(1, 3, 64, 96)
    values = {preset: PRESETS[preset][switch] for preset in ("corrected", "official")}
    logits = [tiny(**{switch: value}).eval()(x) for value in values.values()]
    assert (logits[0] - logits[1]).abs().max() > 1e-7


@torch.no_grad()
def test_topdown_brings_the_deepest_stage_to_every_level_and_official_to_one():
    maps = [torch.zeros(1, c, 32 >> i, 32 >> i) for i, c in enumerate((16, 32, 64, 128))]
    deeper = [*maps[:3], torch.ones_like(maps[3])]
    reached = {}
    for aggregation in ("topdown", "official"):
        neck = tiny(aggregation=aggregation).conv_mla.eval()
        pairs = zip(neck(maps), neck(deeper), strict=True)
        reached[aggregation] = [not torch.equal(a, b) for a, b in pairs]
    assert reached == {"topdown": [True] * 4, "official": [False, False, False, True]}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (1, 1), (1, 70), (200, 240)])
@torch.no_grad()
def test_any_size_comes_back_as_it_was(preset, size):
    logits = tiny(preset=preset).eval()(image(1, 3, *size))
    assert logits.shape == (1, 3, *size)
    assert logits.isfinite().all()


@torch.no_grad()
def test_padding_repeats_the_last_row_and_column():
    model, x = tiny().eval(), image(1, 3, 40, 50)
    rows = torch.arange(64).clamp(max=39)
    columns = torch.arange(64).clamp(max=49)
    by_hand = model(x[:, :, rows][:, :, :, columns])[..., :40, :50]
    assert torch.equal(model(x), by_hand)


@pytest.mark.parametrize("channels", range(1, 13))
@torch.no_grad()
def test_any_channel_count(channels):
    assert tiny(2, channels).eval()(image(1, channels, 32, 32)).shape == (1, 2, 32, 32)


@pytest.mark.parametrize("decoder_channels", [8, 16, 24])
@torch.no_grad()
def test_decoder_width_is_free(decoder_channels):
    model = tiny(decoder_channels=decoder_channels).eval()
    assert model(image(1, 3, 32, 64)).shape == (1, 3, 32, 64)
    projected = any(name.startswith("conv_mla.mla_p5.") for name in model.state_dict())
    assert projected == (decoder_channels != 16)


@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_samples_of_a_batch_do_not_mix(preset):
    model, x = tiny(preset=preset).double().eval(), image(3, 3, 64, 32, dtype=torch.float64)
    alone = torch.cat([model(x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(model(x), alone, rtol=0, atol=1e-12)


@torch.no_grad()
def test_eval_is_deterministic_with_dropout_configured():
    model, x = tiny(drop_path=0.5, dropout=0.5).eval(), image(1, 3, 64, 64)
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("preset", PRESETS)
def test_gradient_reaches_every_parameter(preset):
    model = tiny(preset=preset)
    logits = model(image(2, 3, 64, 64))
    torch.nn.functional.cross_entropy(logits, torch.randint(0, 3, (2, 64, 64))).backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_drop_path_rises_linearly_to_the_last_block():
    encoder = tiny(drop_path=0.4).encoder
    rates = [
        block.drop_path.drop_prob for stage in range(1, 5) for block in encoder.get_submodule(f"blocks{stage}")
    ]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def blob_and_shifted(model):
    """Logits of a blob far from left and right, rolled by 32 pixels, and of the blob rolled by 32 pixels.

    Only columns that no border effect reaches: what repeats along the width is not disturbed by the upper and lower
    border.
    """
    x = torch.zeros(1, 3, 64, 2048, dtype=torch.float64)
    x[..., 20:44, 1000:1030] = image(3, 24, 30, dtype=torch.float64) * 3
    middle = slice(512, 1536)
    rolled, background = model(x).roll(32, -1), model(torch.zeros_like(x))
    effect = (rolled - background)[..., middle].abs().max()
    return ((rolled - model(x.roll(32, -1)))[..., middle].abs().max() / effect).item()


@torch.no_grad()
def test_corrected_network_is_equivariant_to_shifts_by_its_stride():
    assert blob_and_shifted(tiny(align_corners=False).double().eval()) < 1e-12


@pytest.mark.parametrize(
    "arguments", [{"preset": "official"}, {"preset": "raster-min"}, {"align_corners": True}], ids=str
)
@torch.no_grad()
def test_legacy_switches_and_aligned_corners_break_equivariance(arguments):
    assert blob_and_shifted(tiny(**{"align_corners": False} | arguments).double().eval()) > 1e-5


@torch.no_grad()
def test_weights_survive_a_state_dict():
    model, x = tiny(seed=1).eval(), image(1, 3, 64, 64)
    other = tiny(seed=2).eval()
    assert not torch.equal(model(x), other(x))
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(model(x), other(x))


@torch.no_grad()
def test_config_rebuilds_the_network_through_json():
    arguments = {"preset": "raster-min", "align_corners": False, "dropout": 0.1, "trained_size": (64, 96)}
    model = tiny(5, 2, kernel_sizes=(3, 5), mlp_ratio=2.5, **arguments).eval()
    config = json.loads(json.dumps(model.config))
    other = MSLAUNet(**config).eval()
    assert other.config == model.config == config
    other.load_state_dict(model.state_dict())
    x = image(1, 2, 64, 96)
    assert torch.equal(other(x), model(x))


def test_float64_stays_float64():
    model = tiny().double().eval()
    assert model(image(1, 3, 40, 40, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_bfloat16_is_finite_and_near_float32(preset):
    model, x = tiny(preset=preset).eval(), image(2, 3, 50, 64)
    exact = model(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(x)
    whole = model.bfloat16()(x.bfloat16())
    for low in (mixed, whole):
        assert low.isfinite().all()
        assert (low.float() - exact).abs().max() < 0.1 * exact.abs().max()


def test_gradients_are_finite_under_bfloat16_autocast():
    model = tiny()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(image(2, 3, 64, 64))
    torch.nn.functional.cross_entropy(logits.float(), torch.zeros(2, 64, 64, dtype=torch.long)).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@torch.no_grad()
def test_channels_last_changes_nothing():
    model, x = tiny(preset="official").double().eval(), image(2, 3, 64, 96, dtype=torch.float64)
    expected = model(x)
    received = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(received, expected, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_export_at_a_fixed_size_gives_the_same_logits(preset):
    model, x = tiny(preset=preset).eval(), image(1, 3, 50, 64)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))


@pytest.mark.slow
@torch.no_grad()
def test_base_runs_at_its_published_size():
    torch.manual_seed(0)
    logits = MSLAUNet(9).eval()(image(1, 3, 224, 224))
    assert logits.shape == (1, 9, 224, 224)
    assert logits.isfinite().all()


@pytest.mark.slow
def test_gradient_reaches_every_parameter_of_base_at_its_published_size():
    torch.manual_seed(0)
    model = MSLAUNet(9, preset="official")
    model(image(1, 3, 224, 224)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("switches", [{"preset": "official"}, {"preset": "raster-min"}])
def test_a_foreign_size_warns_once_and_is_not_refused(switches):
    model = tiny(trained_size=(64, 64), **switches).eval()
    with pytest.warns(UserWarning, match="belong to 64 x 64 pixels, got 96 x 64") as caught:
        logits = model(image(1, 3, 70, 64))
    assert logits.shape == (1, 3, 70, 64)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        ((50, 64), {"preset": "official", "trained_size": (64, 64)}),
        ((96, 96), {"preset": "official"}),
        ((96, 96), {"preset": "corrected", "trained_size": (64, 64)}),
    ],
    ids=["same token grid", "unknown training size", "nothing legacy"],
)
def test_no_warning_where_the_size_means_nothing(size, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny(**arguments).eval()(image(1, 3, *size))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "Official"}, "preset must be one of official, corrected, raster-min, got 'Official'"),
        ({"token_layout": "rows"}, "token_layout must be one of raster, legacy, got 'rows'"),
        ({"aggregation": "sum"}, "aggregation must be one of topdown, official, got 'sum'"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"in_channels": -1}, "in_channels must be at least 1, got -1"),
        ({"decoder_channels": 0}, "decoder_channels must be at least 1, got 0"),
        ({"embed_dims": (16, 32, 64)}, r"embed_dims must be four positive numbers, got \[16, 32, 64\]"),
        ({"depths": (1, 1, 0, 1)}, r"depths must be four positive numbers, got \[1, 1, 0, 1\]"),
        ({"embed_dims": (16, 32, 60, 128)}, "multiples of head_dim 16, got 60"),
        ({"head_dim": 6}, "head_dim must be a multiple of the 4 kernel sizes, got 6"),
        ({"head_dim": 0}, "head_dim must be at least 1, got 0"),
        ({"mlp_ratio": 0}, "mlp_ratio must be positive, got 0"),
        ({"kernel_sizes": (3, 5, 7, 8)}, r"odd numbers .* got \[3, 5, 7, 8\]"),
        ({"drop_path": 1.0}, r"drop_path must be in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, r"dropout must be in \[0, 1\), got -0.1"),
        ({"trained_size": (224,)}, "trained_size must be"),
    ],
)
def test_impossible_networks_are_refused_with_the_value(arguments, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**arguments)


def test_unknown_variant_is_refused():
    with pytest.raises(ConfigError, match="variant must be one of tiny, small, base, got 'huge'"):
        MSLAUNet.variant("huge", 2)


@pytest.mark.parametrize("shape", [(1, 4, 32, 32), (3, 32, 32), (1, 3, 0, 32), (0, 3, 32, 32)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(DataError, match=r"expected an image \(B, 3, height, width\)"):
        tiny().eval()(torch.zeros(shape))


def test_training_on_one_smallest_image_says_why_not():
    with pytest.raises(ConfigError, match=r"at least two samples .* got one sample of 20 x 32"):
        tiny()(image(1, 3, 20, 32))
    assert tiny()(image(2, 3, 20, 32)).shape == (2, 3, 20, 32)


def test_deep_supervision_gives_auxiliary_logits_in_training_only():
    model = tiny(deep_supervision=True)
    outputs = model(image(2, 3, 40, 70))
    assert [tuple(x.shape) for x in outputs] == [(2, 3, 40, 70)] * 5
    assert model.eval()(image(2, 3, 40, 70)).shape == (2, 3, 40, 70)
    sum(x.square().sum() for x in outputs).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.auxiliary.parameters())


@pytest.mark.parametrize("activation", ["gelu", "silu"])
@torch.no_grad()
def test_activation_replaces_every_relu(activation):
    model, other = tiny(activation=activation).eval(), tiny().eval()
    other.load_state_dict(model.state_dict())
    x = image(1, 3, 64, 64)
    assert (model.conv_mla(model.encoder(x))[0] < 0).any()
    assert (other.conv_mla(other.encoder(x))[0] >= 0).all()
    assert not torch.allclose(model(x), other(x))


def test_scales_may_have_their_own_attention():
    shared, own = tiny(), tiny(share_scales=False)
    one = sum(p.numel() for n, p in shared.named_parameters() if "linear_attention" in n)
    four = sum(p.numel() for n, p in own.named_parameters() if "linear_attention" in n)
    assert four == 4 * one
    own(image(2, 3, 64, 64)).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in own.parameters())


@torch.no_grad()
def test_equal_attentions_of_the_scales_are_a_shared_one():
    shared, own = tiny().eval(), tiny(share_scales=False).eval()
    weights = shared.state_dict()
    spread = {name: weights.get(re.sub(r"(linear_attention)[.][0-9]", r"\1", name)) for name in own.state_dict()}
    own.load_state_dict(spread)
    torch.testing.assert_close(own(image(1, 3, 64, 64)), shared(image(1, 3, 64, 64)))


@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto", "pvt_v2_b0"])
def test_a_timm_backbone_may_be_the_encoder(name):
    model = MSLAUNet(2, in_channels=5, encoder=name, decoder_channels=16)
    logits = model(image(2, 5, 50, 64))
    assert logits.shape == (2, 2, 50, 64)
    logits.square().mean().backward()
    assert MSLAUNet(**model.config).state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet341", "encoder 'resnet341' is not a timm model; near: resnet34"),
        ("vit_tiny_patch16_224", "strides .* the decoder needs 4, 8, 16 and 32"),
    ],
)
def test_impossible_encoders_are_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        MSLAUNet(2, encoder=name)


def test_a_saved_folder_gives_the_network_back(tmp_path):
    model = tiny(5, 2, "official", kernel_sizes=(3, 5), trained_size=(64, 64)).eval()
    model.save_pretrained(tmp_path)
    again = MSLAUNet.from_pretrained(tmp_path)
    assert again.config == json.loads(json.dumps(model.config))
    x = image(1, 2, 64, 64)
    with torch.inference_mode():
        assert torch.equal(again(x), model(x))
    assert "from mslaunet import MSLAUNet" in (tmp_path / "README.md").read_text()


@pytest.mark.slow
@torch.no_grad()
def test_the_whole_network_compiles_as_one_graph():
    """Traced by dynamo without a break; opt-in, because a real compilation takes minutes on a CPU."""
    model, x = tiny().eval(), image(2, 3, 64, 96)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), model(x))


def test_layers_come_from_timm_layers():
    """`timm.models.layers` is deprecated (M14)."""
    assert inspect.getmodule(tiny(drop_path=0.1).encoder.blocks1[0].drop_path).__name__ == "timm.layers.drop"
