"""Settings of a data set: where it is, how it is split and how its films become tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from .._shared.config import FrozenModel
from .._shared.errors import ConfigError
from .formats import Format, open_pairs
from .generic import Columns
from .pairs import PairDataset
from .splits import SplitRule, assign_split


class DataConfig(FrozenModel):
    """A data set of image-report pairs."""

    root: Path = Field(description="folder of the data set, or a table or shard")
    format: Format | Literal["auto"] = Field("auto", description="layout on disk; auto recognises it")
    reports: Path | None = Field(None, description="root of MIMIC-CXR's reports, where they are apart")
    images: Path | None = Field(None, description="root of MIMIC-CXR-JPG, for MS-CXR")
    language: Literal["en", "es"] = Field("en", description="of PadChest-GR's sentences")
    image_column: str | None = Field(None, description="a table's column of image paths; guessed if none")
    text_columns: tuple[str, ...] = Field((), description="a table's columns of text, joined; guessed if none")
    patient_column: str | None = Field(None, description="a table's column of patients; guessed if none")
    split_column: str | None = Field(None, description="a table's column of sides; guessed if none")
    label_columns: tuple[str, ...] = Field((), description="a table's columns of findings; guessed if none")
    split: SplitRule = Field("patients", description="leak-free by patient, or the published code's leaky split")
    validation_fraction: float = Field(0.15, ge=0, lt=1, description="share of patients, where no side is given")
    test_fraction: float = Field(0.15, ge=0, lt=1, description="share of patients, where no side is given")
    split_seed: int = Field(0, ge=0, description="of the split, apart from the run's seed")
    side_px: int = Field(224, ge=16, description="side of the tensors, pixels")
    channels: Literal[1, 3] = Field(3, description="equal channels of a tensor")

    @property
    def columns(self) -> Columns | None:
        """Columns of a table as far as they are given; None where nothing is."""
        columns = Columns(
            self.image_column, self.text_columns, self.patient_column, self.split_column, self.label_columns
        )
        return None if columns == Columns() else columns


def data_config(
    root: Path,
    format: str = "auto",  # noqa: A002  # the flag's name
    *,
    reports: Path | None = None,
    image_column: str | None = None,
    text_columns: Sequence[str] | None = None,
    label_columns: Sequence[str] | None = None,
    patient_column: str | None = None,
    split: SplitRule = "patients",
) -> DataConfig:
    """Settings from a command's flags.

    Raises:
        ConfigError: a flag's value does not fit.
    """
    values = {
        "root": root,
        "format": format,
        "reports": reports,
        "image_column": image_column,
        "text_columns": tuple(text_columns or ()),
        "label_columns": tuple(label_columns or ()),
        "patient_column": patient_column,
        "split": split,
    }
    try:
        return DataConfig.model_validate(values)
    except ValidationError as err:
        first = err.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "flags"
        raise ConfigError(f"{field}: {first['msg'].removeprefix('Value error, ')}") from err


def open_unsplit(config: DataConfig) -> PairDataset:
    """Open a data set as it lies there, with the sides it brings.

    Raises:
        DataError: it is missing or damaged.
        ConfigError: a setting that its format does not have.
    """
    return open_pairs(
        config.root,
        config.format,
        columns=config.columns,
        reports=config.reports,
        images=config.images,
        language=config.language,
    )


def open_data(config: DataConfig) -> PairDataset:
    """Open a data set and give every sample a side.

    Raises:
        DataError: it is missing, damaged, or its own sides share patients.
        ConfigError: a setting that its format does not have.
    """
    return assign_split(
        open_unsplit(config),
        config.split,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.split_seed,
    )
