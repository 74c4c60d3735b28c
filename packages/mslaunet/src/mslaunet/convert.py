"""Official weights -> a model directory that `predict` takes."""

from __future__ import annotations

from pathlib import Path

from ._shared.checkpoints import save_model
from ._shared.errors import ConfigError
from .official import LoadReport, load_official
from .preprocess import Preprocessing
from .task import saved_config


def convert_official(
    weights: Path, out: Path, *, num_classes: int | None = None, in_channels: int | None = None, side_px: int = 224
) -> LoadReport:
    """Read official weights through the restricted reader and write safetensors with their configuration.

    The file tells neither its classes' names nor its preprocessing: classes are called `class_<id>`; one channel
    takes the Synapse window of -125 to 275 HU, any other number takes images in [0, 1].

    Raises:
        CheckpointError: the weights are unsafe, damaged or of another network.
        ConfigError: an encoder alone needs `num_classes`, or `out` holds files already.
        ResourceError: `out` cannot be written.
    """
    out = out.resolve()  # "." has no name
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):  # save_model would replace what is there
        raise ConfigError(f"{out.name}: exists and is not an empty folder; choose another, nothing was written")
    model, report = load_official(weights, num_classes, in_channels, trained_size=(side_px, side_px))
    classes = {i: "background" if i == 0 else f"class_{i}" for i in range(model.config["num_classes"])}
    channels = model.config["in_channels"]
    plan = Preprocessing(intensity="window" if channels == 1 else "unit", num_channels=channels)
    save_model(out, model.state_dict(), saved_config(model.config, plan, classes, None))
    return report
