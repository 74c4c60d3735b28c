"""Draw docs/tryon_pbe_tiny.png: the tiny configuration before and after training, on pairs that it was trained on.

    python tools/picture_tryon_pbe.py RUN DATA [OUT]

RUN is a finished `tryon-bench train-pbe DATA --recipe tiny --run-dir RUN`, DATA its synthetic set. "Before" has the
trained VAE, without which nothing can be seen, and the random UNet of step 0; "base alone" the trained UNet
without ControlNet.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tryon_bench.data.open import open_dataset
from tryon_bench.diffusion.components import Components, new_controlnet, tiny_components
from tryon_bench.diffusion.model import GuidedInpainting
from tryon_bench.diffusion.pairs import prepare_pair, to_tensors
from tryon_bench.diffusion.sampler import SamplerSettings, draw, initial_noise
from tryon_bench.diffusion.storage import TrainedModel, load_trained
from tryon_bench.engine.images import decode

ROOT = Path(__file__).parents[1]
COLUMNS = ("garment", "before", "base alone", "after", "photo")
SCALE, GAP, HEAD = 3, 4, 14
STEPS = 30


def main() -> None:
    """Read the run and write the picture."""
    run, data = Path(sys.argv[1]), Path(sys.argv[2])
    out = Path(sys.argv[3]) if len(sys.argv) > 3 else ROOT / "docs" / "tryon_pbe_tiny.png"
    trained = load_trained(run)
    samples = open_dataset(data, "auto", "paired").samples
    config, base = trained.config.frame, trained.model.components
    pairs = [prepare_pair(sample, config, base.ref_px) for sample in samples]
    random = tiny_components(trained.config.train.seed)
    start = Components(base.vae, random.unet, random.encoder, base.noise)
    columns = [
        [decode(sample.garment) for sample in samples],
        _drawn(_without_controlnet(start, trained), pairs),
        _drawn(_without_controlnet(base, trained), pairs),
        _drawn(trained, pairs),
        [pair.person for pair in pairs],
    ]
    Image.fromarray(_sheet(columns)).save(out, optimize=True)
    print(out, out.stat().st_size)


def _without_controlnet(base: Components, trained: TrainedModel) -> TrainedModel:
    """With a new ControlNet, which changes nothing."""
    new = new_controlnet(base, trained.model.controlnet.config.conditioning_channels)
    return TrainedModel(GuidedInpainting(base, new).eval(), trained.config, "", "")


def _drawn(trained: TrainedModel, pairs: list) -> list[np.ndarray]:
    config, base = trained.config.frame, trained.model.components
    shape = (4, config.height_px // base.vae_factor, config.width_px // base.vae_factor)
    noise = [initial_noise(0, pair.pair_id, shape) for pair in pairs]
    images = draw(trained.model, to_tensors(pairs, config), noise, config, SamplerSettings("ddim", STEPS))
    pixels = (images.movedim(1, 3).numpy() * 255).round().astype(np.uint8)
    return [np.where(p.repaint[..., None], made, p.person) for p, made in zip(pairs, pixels, strict=True)]


def _sheet(columns: list[list[np.ndarray]]) -> np.ndarray:
    """Pairs in two blocks side by side, with a line of words on top."""
    rows = [_row([column[i] for column in columns]) for i in range(len(columns[0]))]
    half = (len(rows) + 1) // 2
    rows += [np.full_like(rows[0], 255)] * (2 * half - len(rows))
    blocks = [np.concatenate(rows[:half]), np.concatenate(rows[half:])]
    sheet = np.concatenate([blocks[0], np.full((len(blocks[0]), 4 * GAP, 3), 255, np.uint8), blocks[1]], axis=1)
    head = Image.new("RGB", (sheet.shape[1], HEAD), "white")
    draw_on = ImageDraw.Draw(head)
    step = rows[0].shape[1] // len(COLUMNS)
    for block in range(2):
        for number, word in enumerate(COLUMNS):
            draw_on.text((block * (rows[0].shape[1] + 4 * GAP) + number * step + 2, 1), word, fill="black")
    return np.concatenate([np.asarray(head), sheet])


def _row(images: list[np.ndarray]) -> np.ndarray:
    grown = [np.kron(image, np.ones((SCALE, SCALE, 1), np.uint8)) for image in images]
    return np.concatenate([np.pad(g, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for g in grown], axis=1)


if __name__ == "__main__":
    main()
