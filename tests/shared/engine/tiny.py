"""A tiny task, and the script that the fault tests start and kill.

python tiny.py RUN_DIR '{"max_steps": 40}' [--resume] [fault]
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from quartet_shared import checkpoints
from quartet_shared.cli import leave
from quartet_shared.engine.config import TrainConfig
from quartet_shared.engine.distributed import sum_across_ranks
from quartet_shared.engine.loop import FitResult, fit
from quartet_shared.errors import QuartetError
from quartet_shared.runs import RunDir

SIZE = 64


def network(norm: bool = False, dropout: float = 0.3) -> nn.Sequential:
    torch.manual_seed(0)
    middle = [nn.BatchNorm2d(4)] if norm else []
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), *middle, nn.GELU(), nn.Dropout(dropout), nn.Flatten(), nn.Linear(256, 2)
    )


class TinyTask:
    """Which half of an 8 x 8 image is brighter; augmentation draws from the samples' generators."""

    def __init__(self, model: nn.Module | None = None, *, batch_sums: bool = False) -> None:
        self.model = network() if model is None else model
        self.batch_sums = batch_sums
        self.seen: list[int] = []
        images = torch.rand(SIZE, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        self.labels = torch.arange(SIZE) % 2
        images[self.labels == 1, :, :4] += 0.5
        self.images = images
        self.scores: list[float] | None = None

    def train_size(self):
        return SIZE

    def batch(self, indices, rngs):
        self.seen += indices
        noise = torch.stack([torch.from_numpy(rng.normal(0, 0.1, (1, 8, 8))).float() for rng in rngs])
        return {"image": self.images[indices] + noise, "label": self.labels[indices]}

    def loss(self, batch):
        logits = self.model(batch["image"])
        entropy = nn.functional.cross_entropy(logits, batch["label"])
        if not self.batch_sums:
            return {"loss": entropy}
        # Soft Dice of class 1 over the global batch: sums first, then the ratio.
        p, y = logits.softmax(1)[:, 1], batch["label"].float()
        sums = sum_across_ranks(torch.stack([(p * y).sum(), p.sum() + y.sum()]))
        dice = 1 - 2 * sums[0] / sums[1]
        return {"loss": entropy + dice, "dice": dice}

    def validate(self, model):
        assert not model.training
        assert not torch.is_grad_enabled()
        if self.scores is not None:
            return {"accuracy": self.scores.pop(0)}
        return {"accuracy": float((model(self.images).argmax(1) == self.labels).float().mean())}

    def model_config(self):
        return {"package": "tiny"}


def train(path: Path, task=None, *, resume: bool = False, device: str = "cpu", **settings) -> FitResult:
    config = TrainConfig(**{"max_steps": 12, "batch_size": 8, "log_every": 1, **settings})
    with RunDir.open(path, config_toml="", resume=resume) as run:
        return fit(task or TinyTask(), config, run, device=device, resume=resume, quiet=True)


def metrics(path: Path) -> list[dict]:
    """Records of metrics.jsonl without the wall clock."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "elapsed_s"} for line in lines]


def weights(path: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return checkpoints.load_model(path / "checkpoints" / name)[0]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Bit-equal."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class FaultyTask(TinyTask):
    """Does something nasty when the batch of one step is asked for (workers 0) or its loss is computed."""

    def __init__(self, fault: str, step: int) -> None:
        super().__init__(network(norm=True))
        self.fault, self.step, self.steps = fault, step, 0

    def loss(self, batch):
        if self.model.training:
            self.steps += 1
        if self.steps == self.step:
            if self.fault == "kill":
                _die()
            if self.fault == "kill-rank-1" and os.environ["RANK"] == "1":
                _die()
            if self.fault in ("SIGTERM", "SIGINT"):
                os.kill(os.getpid(), getattr(signal, self.fault))
            if self.fault == "disk-full":  # the kernel refuses to let files grow beyond this
                resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
        return super().loss(batch)

    def batch(self, indices, rngs):
        if self.fault == "kill-worker" and torch.utils.data.get_worker_info() is not None:
            _die()
        return super().batch(indices, rngs)


def main() -> int:
    path, settings, *rest = sys.argv[1:]
    fault, _, number = rest[-1].partition("=") if rest and rest[-1] != "--resume" else ("", "", "0")
    task = FaultyTask(fault, int(number or 0))
    if fault == "kill-in-checkpoint":
        replace, calls = checkpoints._replace, iter(range(1, 1000))

        def die_or_replace(temporary, target):
            if target.name.startswith("step-") and next(calls) == int(number):
                _die()  # everything is written and synced, nothing is renamed yet
            replace(temporary, target)

        checkpoints._replace = die_or_replace
    if fault == "sums":
        task = TinyTask(network(dropout=0.0), batch_sums=True)
    try:
        train(Path(path), task, resume="--resume" in rest, **json.loads(settings))
    except QuartetError as err:
        sys.stderr.write(f"error: {err}\n")
        return err.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    leave(main())
