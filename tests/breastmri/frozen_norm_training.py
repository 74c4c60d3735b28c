"""Train the tiny network for six steps with frozen norm statistics; run alone or under torchrun by test_train.py."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from small import breasts, config  # beside this script; a library ships a package `tests` that hides ours
from torch import nn

from breastmri import train as training
from breastmri._shared.cli import leave
from breastmri._shared.config import to_toml
from breastmri._shared.engine.loop import fit
from breastmri._shared.runs import RunDir
from breastmri.task import Objective


class FrozenNorm(Objective):
    """The network in training mode, its batch norm in eval mode."""

    def train(self, mode: bool = True) -> FrozenNorm:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eval()
        return self


def main(run_dir: Path) -> None:
    torch.set_num_threads(1)
    settings = config(steps=6, optimizer="sgd", lr=0.05)
    training.Objective = FrozenNorm
    with RunDir.open(run_dir, config_toml=to_toml(settings)) as run:
        task = training.build_task(settings, breasts(16), [])
        fit(task, settings.train, run, device="cpu", quiet=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    leave(0)
