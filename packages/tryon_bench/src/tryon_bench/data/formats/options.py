"""What a user may say about a data set beyond its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...protocol.schema import Setting


@dataclass(frozen=True)
class Options:
    """How a data set is opened.

    Attributes:
        setting: paired or unpaired.
        pairs: list to read instead of the published one.
        split: test or train.
        parse_scheme: label ids of the parses, where they are not the layout's.
        folders: role -> folder name, where it is none of the known ones.
    """

    setting: Setting = "paired"
    pairs: Path | None = None
    split: str = "test"
    parse_scheme: str | None = None
    folders: Mapping[str, str] = field(default_factory=dict)
