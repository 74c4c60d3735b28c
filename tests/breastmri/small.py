"""Small phantoms and a tiny model in memory, for tests of the method."""

from __future__ import annotations

from functools import cache

from breastmri.config import Config
from breastmri.phantom import PhantomConfig, make_phantom
from breastmri.preprocess import BreastInput, Preprocessing, breast_input

PLAN = Preprocessing(size=(12, 20, 16), spacing_mm=(6.0, 8.0, 8.0))


@cache
def breasts(count: int, seed: int = 0) -> tuple[BreastInput, ...]:
    """Unilateral phantoms, alternately malignant and not."""
    config = PhantomConfig(size=(32, 40, 12), breasts="left")
    made = [
        make_phantom(i, seed=seed, config=config, kind=("malignant", "benign", "malignant", "none")[i % 4])
        for i in range(count)
    ]
    return tuple(breast_input(phantom.study, "left", PLAN) for phantom in made)


def config(steps: int = 4, loss: dict | None = None, embed_dim: int = 8, **train: object) -> Config:
    """Settings of a tiny run."""
    return Config(
        data={"root": "phantom", "preprocessing": PLAN.model_dump()},
        model={"backbone": "tiny", "embed_dim": embed_dim},
        loss=loss or {},
        train={"max_steps": steps, "batch_size": 4, "lr": 1e-3, "log_every": 1, "warmup_steps": 0, **train},
    )
