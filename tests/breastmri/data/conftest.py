"""One written data set per layout, shared by the tests that read it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from breastmri.data.manifest import Manifest
from breastmri.data.opening import open_data
from breastmri.synth import write_synthetic


@dataclass(frozen=True)
class Written:
    """A written data set, opened, with the truth by study."""

    root: Path
    manifest: Manifest
    truth: dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Written]:
    base = tmp_path_factory.mktemp("layouts")

    @functools.cache
    def make(layout: str) -> Written:
        root = base / layout
        write_synthetic(layout, root, cases=10, seed=4)
        studies = json.loads((root / "truth.json").read_text())["studies"]
        return Written(root, open_data(root), {study["study_id"]: study for study in studies})

    return make
