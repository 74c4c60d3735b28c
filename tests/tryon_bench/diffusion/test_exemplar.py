"""Our exemplar encoder against the one in diffusers' deprecated pipeline."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPVisionConfig

from tryon_bench.diffusion.components import tiny_components
from tryon_bench.diffusion.exemplar import to_published
from tryon_bench.diffusion.folders import save_encoder


def test_names_are_the_published_ones() -> None:
    names = set(to_published(tiny_components(0).encoder.state_dict()))
    assert {
        "model.vision_model.embeddings.patch_embedding.weight",
        "model.vision_model.encoder.layers.4.mlp.fc2.bias",
        "mapper.blocks.0.attn1.to_q.bias",
        "mapper.blocks.0.ff.net.0.proj.weight",
        "final_layer_norm.weight",
        "proj_out.bias",
        "uncond_vector",
    } <= names


def test_diffusers_own_class_reads_our_folder_and_gives_the_same_token(tmp_path: Path) -> None:
    from diffusers.pipelines.deprecated.paint_by_example.image_encoder import PaintByExampleImageEncoder

    ours = tiny_components(0).encoder.eval()
    save_encoder(ours, tmp_path)
    config = CLIPVisionConfig.from_pretrained(
        tmp_path
    )  # by itself it takes the settings for those of a whole CLIP
    theirs, report = PaintByExampleImageEncoder.from_pretrained(tmp_path, config=config, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ref = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, unconditional = theirs.eval()(ref, return_uncond_vector=True)
        assert torch.equal(ours(ref), expected)
        assert torch.equal(ours.uncond_vector, unconditional)


def test_dropping_is_a_matter_of_each_sample() -> None:
    encoder = tiny_components(0).encoder.eval()
    with torch.no_grad():
        pooled = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
        kept, mixed = encoder.token(pooled), encoder.token(pooled, torch.tensor([True, False, True]))
    assert torch.equal(mixed[1], kept[1])
    assert torch.equal(mixed[0], encoder.uncond_vector[0])
    assert torch.equal(mixed[2], encoder.uncond_vector[0])
