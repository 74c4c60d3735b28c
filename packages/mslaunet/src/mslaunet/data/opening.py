"""Settings -> an open data set: what `train` and the other commands with a configuration call."""

from __future__ import annotations

from .._shared.logs import get_logger
from ..config import DataConfig
from .dataset import Dataset, open_dataset

log = get_logger(__name__)


def open_configured(config: DataConfig) -> Dataset:
    """Open the data set of a configuration, and say what its user must know about it.

    With `data.group` "case", patients and sequences may lie on both sides of a split, as in the official recipes.

    Raises:
        DataError: the data set cannot be used, see `dataset.open_dataset`.
        ConfigError: an option does not fit its layout.
    """
    dataset = open_dataset(
        config.root,
        config.layout,
        config.classes,
        label_map=config.label_map,
        overlap="allow" if config.group == "case" else "refuse",
    )
    for warning in dataset.warnings:
        log.warning("%s: %s", dataset.layout, warning)
    return dataset
