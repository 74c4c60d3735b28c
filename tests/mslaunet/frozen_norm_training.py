"""Train the tiny network for six steps with frozen norm statistics; run alone or under torchrun by test_train.py."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from mslaunet._shared.cli import leave
from mslaunet._shared.config import to_toml
from mslaunet._shared.engine.loop import fit
from mslaunet._shared.runs import RunDir
from mslaunet.config import Config
from mslaunet.data.dataset import open_dataset
from mslaunet.train import build_model, build_task, prepare_training


class FrozenNorm(nn.Module):
    """The network in training mode, its batch norm in eval mode."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> FrozenNorm:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image)


def main(data: Path, run_dir: Path) -> None:
    torch.set_num_threads(1)
    train = {"max_steps": 6, "batch_size": 4, "log_every": 1, "optimizer": "sgd", "lr": 0.05}
    config = Config(data={"root": data, "side_px": 64}, model={"variant": "tiny"}, train=train)
    with RunDir.open(run_dir, config_toml=to_toml(config)) as run:
        prepared = prepare_training(open_dataset(data), config, run.path / "cache", quiet=True)
        network = FrozenNorm(build_model(config, num_classes=9, in_channels=1))
        fit(build_task(config, prepared, network), config.train, run, device="cpu", quiet=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    leave(0)
