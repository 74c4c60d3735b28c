"""Loss and pictures against a second writing from plain diffusers (`reference_diffusion`) and its old pipeline."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tryon_bench import reference_diffusion as reference
from tests.tryon_bench.diffusion.short import SHORT
from torch import Tensor

from tryon_bench._shared.order import generator
from tryon_bench.data.sample import Dataset, Sample
from tryon_bench.diffusion.components import new_controlnet, tiny_components
from tryon_bench.diffusion.config import DiffusionConfig
from tryon_bench.diffusion.folders import load_base, save_base
from tryon_bench.diffusion.sampler import SamplerSettings, draw
from tryon_bench.diffusion.task import DenoisingTask
from tryon_bench.diffusion.train import build_task

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base whose VAE has a scaling factor of its own, and a ControlNet that does something."""
    root = tmp_path_factory.mktemp("reference")
    base = tiny_components(5)
    base.vae.register_to_config(scaling_factor=1.7)
    save_base(base, root / "base")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        control = new_controlnet(base, 6)
        for name, parameter in control.named_parameters():
            if name.startswith(("controlnet_down", "controlnet_mid", "controlnet_cond_embedding.conv_out")):
                torch.nn.init.normal_(parameter, std=0.1)
    control.save_pretrained(root / "control")
    return root / "base", root / "control"


@pytest.fixture(scope="module")
def networks(folders: tuple[Path, Path]) -> reference.Networks:
    return reference.load_networks(*folders)


@pytest.fixture(scope="module")
def task(folders: tuple[Path, Path], dataset: Dataset) -> DenoisingTask:
    settings = {**SHORT, "controlnet": str(folders[1]), "drop_exemplar": 0.5, "drop_hint": 0.4}
    return build_task(load_base(folders[0]), dataset, DiffusionConfig.model_validate(settings))


def _inputs(sample: Sample, side: int = 16) -> Inputs:
    """From the files, by PIL alone; the synthetic photos have the networks' size."""
    garment = Image.open(sample.garment).convert("RGB")
    photo = reference.photo_tensor(Image.open(sample.person).convert("RGB"))
    worn = np.isin(np.asarray(Image.open(sample.parse)), (5, 6, 7))  # type: ignore[arg-type]
    hole = np.asarray(Image.open(sample.agnostic_mask).convert("L")) >= 128  # type: ignore[arg-type]
    keep = torch.tensor(~(worn | hole))[None, None].float()
    densepose = Image.open(sample.densepose).convert("RGB")  # type: ignore[arg-type]
    return photo, keep, reference.exemplar_tensor(garment, side), reference.hint_tensor(garment, densepose)


def test_tensors_of_a_pair_are_those_that_pil_reads(task: DenoisingTask) -> None:
    for number in range(4):
        batch = task.batch([number], [generator(0, "x")])
        expected = dict(zip(("image", "keep", "ref", "hint"), _inputs(task.pairs.samples[number]), strict=True))
        for name, value in expected.items():
            torch.testing.assert_close(batch[name], value, rtol=0, atol=1e-5, msg=name)


def test_training_loss_is_that_of_the_reference(task: DenoisingTask, networks: reference.Networks) -> None:
    seen = set()
    for epoch in range(4):
        batch = task.batch([0, 1, 2, 3], [generator(1, "loss", epoch, n) for n in range(4)])
        losses = []
        for n in range(4):
            drawn: dict[str, Any] = {name: batch[name][n : n + 1] for name in ("noise", "vae_noise")}
            drawn |= {name: batch[name][n].item() for name in ("t", "drop", "drop_hint")}
            losses.append(reference.training_loss(networks, *_inputs(task.pairs.samples[n]), drawn))
            seen.add((drawn["drop"], drawn["drop_hint"]))
        with torch.no_grad():
            assert float(task.loss(batch)["loss"]) == pytest.approx(np.mean(losses), abs=1e-5)
    assert len(seen) == 4  # with and without garment, with and without hint


@pytest.mark.parametrize("scheduler", ["ddim", "unipc"])
def test_pictures_are_those_of_the_reference(
    task: DenoisingTask, networks: reference.Networks, scheduler: str
) -> None:
    batch = task.batch([0, 1], [generator(2, "draw", n) for n in range(2)])
    settings = SamplerSettings(scheduler, 7, 3.0)  # type: ignore[arg-type]
    model = task.model.eval()
    drawn = draw(model, batch, list(batch["noise"]), task.config.frame, settings)  # type: ignore[arg-type]
    for n in range(2):
        inputs = _inputs(task.pairs.samples[n])
        expected = reference.sampled(networks, scheduler, 7, 3.0, inputs, batch["noise"][n : n + 1])
        torch.testing.assert_close(drawn[n], expected, rtol=0, atol=1e-5)
        assert expected.std() > 0.01


def test_untrained_controlnet_draws_what_the_old_pipeline_draws(
    folders: tuple[Path, Path], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`PaintByExamplePipeline`, assembled by hand; made to take the VAE's mode, as we do, and not a draw from it."""
    from diffusers import DDIMScheduler
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    task = build_task(load_base(folders[0]), dataset, DiffusionConfig.model_validate(SHORT))
    batch = task.batch([0, 1], [generator(3, "pipeline", n) for n in range(2)])
    batch["keep"] = torch.ones(2, 1, 32, 24)
    batch["keep"][:, :, 8:20, 6:18] = 0  # whole latents: the pipeline takes their corners, we their centres
    networks = reference.load_networks(*folders)
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    module = importlib.import_module("diffusers.pipelines.deprecated.paint_by_example")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = module.PaintByExamplePipeline(
            networks.vae,
            networks.encoder,
            networks.unet,
            DDIMScheduler.from_pretrained(folders[0], subfolder="scheduler"),
            None,
            None,
            requires_safety_checker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        batch["ref"], batch["image"], 1 - batch["keep"], latents=batch["noise"], num_inference_steps=6,
        guidance_scale=5.0, output_type="pt",
    ).images  # fmt: skip
    settings = SamplerSettings(steps=6, guidance=5.0)
    drawn = draw(task.model.eval(), batch, list(batch["noise"]), task.config.frame, settings)  # type: ignore[arg-type]
    torch.testing.assert_close(drawn, expected, rtol=0, atol=1e-5)
