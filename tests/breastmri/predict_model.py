"""A tiny trained model, with or without cosine head, for the tests of prediction."""

from __future__ import annotations

from pathlib import Path

from breastmri._shared.config import load_config
from breastmri.classifier import Classifier, load_classifier
from breastmri.config import Config
from breastmri.phantom import PhantomConfig, make_phantom
from breastmri.preprocess import breast_input
from breastmri.recipes import recipe_path
from breastmri.train import train_breasts


def tiny_model(run_dir: Path, *, steps: int = 3, phantom: bool = True, recipe: str = "tiny") -> Classifier:
    """Train on sixteen phantoms for a few steps."""
    flags = {"data.root": "phantoms", "train.max_steps": steps, "train.warmup_steps": 1, "train.batch_size": 8}
    config = load_config(Config, recipe_path(recipe), flags=flags)
    one = PhantomConfig(size=(32, 40, 12), breasts="left")
    studies = [make_phantom(i, config=one).study for i in range(16)]
    breasts = [breast_input(study, "left", config.data.preprocessing) for study in studies]
    fitted = train_breasts(config, breasts, [], run_dir, phantom=phantom, device="cpu", quiet=True)
    return load_classifier(fitted.last_path, device="cpu")
