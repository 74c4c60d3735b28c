"""A drawn data set of four pairs, a short configuration, and a run that was trained on them for a few steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tryon_bench.diffusion.short import SHORT

from tryon_bench.data.open import open_dataset
from tryon_bench.data.sample import Dataset
from tryon_bench.diffusion.components import tiny_components
from tryon_bench.diffusion.config import DiffusionConfig
from tryon_bench.diffusion.task import DenoisingTask
from tryon_bench.diffusion.train import build_task, train_pbe
from tryon_bench.synth.write import write_synthetic


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pbe-data")
    write_synthetic("vitonhd", root, cases=4, size=(32, 24))
    return root


@pytest.fixture(scope="session")
def dataset(data: Path) -> Dataset:
    return open_dataset(data, "vitonhd", "paired")


@pytest.fixture
def make_task(dataset: Dataset) -> Callable[..., DenoisingTask]:
    def make(**settings: object) -> DenoisingTask:
        config = DiffusionConfig.model_validate({**SHORT, **settings})
        return build_task(tiny_components(0), dataset, config)

    return make


@pytest.fixture(scope="session")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished `train-pbe` with LoRA and a trained mapping."""
    run_dir = tmp_path_factory.mktemp("pbe") / "run"
    config = DiffusionConfig.model_validate({**SHORT, "lora_rank": 2, "train_mapping": True})
    train_pbe(dataset, config, run_dir, device="cpu", quiet=True)
    return run_dir
