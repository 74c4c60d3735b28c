"""Run the ablation of `mslaunet ablate` on the real CTs and on a generated set, and write docs/ablation_mslaunet.md.

Usage: python tools/ablate_mslaunet.py [--work DIR]    (resumable; about ten minutes on a free core)

The recipe and what was expected before the run are in docs/ablation_mslaunet_claims.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from mslaunet._shared.engine.config import TrainConfig
from mslaunet._shared.io.images import write_png
from mslaunet.ablate import ARMS, ablate, ablation_text
from mslaunet.config import AugmentConfig, Config, DataConfig, ModelConfig
from mslaunet.demo.dataset import write_demo_dataset

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "ablation_mslaunet.md"
SEEDS = 3
SIDE_PX = 64
IMAGES = 160


def write_long_range(root: Path) -> None:
    """Images of equal discs whose class is decided far away: left of the cross is class 1, right of it class 2.

    The cross stands in the upper quarter, the discs lie in the lower half, so the nearest disc is at least 16 px
    from it. Without the cross nothing tells the two classes apart.
    """
    rng = np.random.Generator(np.random.Philox(20261124))
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    for index in range(IMAGES):
        image, mask = rng.normal(110, 12, (SIDE_PX, SIDE_PX)), np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        cross = int(rng.integers(16, 48))
        arm = (abs(y - 8) <= 5) & (abs(x - cross) <= 1) | (abs(x - cross) <= 5) & (abs(y - 8) <= 1)
        image[arm] = 20
        for _ in range(3):
            centre_x, centre_y = int(rng.integers(5, 59)), int(rng.integers(36, 59))
            if abs(centre_x - cross) < 7:
                continue
            disc = (x - centre_x) ** 2 + (y - centre_y) ** 2 <= 16
            image[disc] = 200 + rng.normal(0, 12, int(disc.sum()))
            mask[disc] = 1 if centre_x < cross else 2
        write_png(root / "images" / f"{index:03d}.png", np.clip(image, 0, 255).astype(np.uint8))
        write_png(root / "masks" / f"{index:03d}.png", mask)


def write_two_patients(root: Path) -> None:
    """The two real CTs: patient A for training, patient B for validation."""
    write_demo_dataset(root)
    for kind in ("images", "labels"):
        for path in (root / f"{kind}Ts").iterdir():
            path.rename(root / f"{kind}Tr" / path.name)
        (root / f"{kind}Ts").rmdir()
    header = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
    (root / "dataset.json").write_text(json.dumps(header | {"numTraining": 2}), encoding="utf-8")
    split = [{"train": ["patient_a"], "val": ["patient_b"]}]
    (root / "splits_final.json").write_text(json.dumps(split), encoding="utf-8")


def long_range_config(root: Path) -> Config:
    """Tiny network, 64 px, no augmentation that could move a disc past the cross."""
    classes = {0: "background", 1: "left", 2: "right"}
    return Config(
        data=DataConfig(root=root, classes=classes, side_px=SIDE_PX, split="cases", validation_fraction=0.25),
        model=ModelConfig(variant="tiny"),
        augment=AugmentConfig(kind="none"),
        train=TrainConfig(max_steps=200, batch_size=8, lr=3e-3, warmup_steps=20, clip_norm=1.0),
    )


def ct_config(root: Path) -> Config:
    """Tiny network on a 4 mm grid."""
    return Config(
        data=DataConfig(root=root, pixel_mm=4.0, side_px=96, split="cases"),
        model=ModelConfig(variant="tiny"),
        train=TrainConfig(max_steps=150, batch_size=8, lr=3e-3, warmup_steps=20, clip_norm=1.0),
    )


def main() -> None:
    """Write the sets, run both ablations, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "ablation", help="folder for data and runs")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the table goes")
    work = parser.parse_args().work.resolve()
    page = parser.parse_args().page
    parts = []
    for name, title, write, make in (
        ("long-range", "Generated set: a far cross decides the class", write_long_range, long_range_config),
        ("ct", "Two real CTs: trained on patient A, scored on patient B", write_two_patients, ct_config),
    ):
        data = work / f"data-{name}"
        if not (data / "complete").exists():
            write(data)
            (data / "complete").touch()
        config = make(data)
        result = ablate(config, work / name, seeds=SEEDS, arms=tuple(ARMS), device="cpu", resume=True)
        parts.append(f"## {title}\n\n{config.train.max_steps} steps.\n\n```\n{ablation_text(result)}\n```\n")
        intro = "# Ablation of MSLAU-Net's switches\n\nMade by `python tools/ablate_mslaunet.py`.\n"
        page.write_text("\n".join([intro, *parts]), encoding="utf-8")
    sys.stdout.write(page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
