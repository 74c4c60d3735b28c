"""Which breasts of a data set a trained model may be judged or calibrated on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, get_args

from ._shared.errors import ConfigError, DataError
from ._shared.logs import get_logger
from .cases import digest
from .prepare import Breasts

On = Literal["unseen", "validation", "test", "all"]

log = get_logger(__name__)


def select_breasts(breasts: Breasts, model: Path, on: On = "unseen") -> Breasts:
    """Labelled breasts to judge a model on.

    `unseen`: neither trained nor validated on, nor of such a patient, by the run's `data.json`; `validation`: those
    that chose its weights; `test`: the data set's own test split; `all`: everything, at the user's own risk.

    Args:
        breasts: of the data set.
        model: the run directory.
        on: which.

    Raises:
        ConfigError: another choice.
        DataError: none is left.
    """
    if on not in get_args(On):
        raise ConfigError(f"expected breasts on {', '.join(get_args(On))}, got {on!r}")
    labelled = breasts.labelled()
    facts = labelled.facts
    if on == "test":
        chosen = [i for i, fact in enumerate(facts) if fact["split"] == "test"]
    elif on == "all":
        chosen = list(range(len(facts)))
        log.warning("breasts that the model was trained on are not left out: the numbers may be far too good")
    else:
        roles = _roles(model)
        if on == "validation":
            keys = {key for key, role in roles["breasts"].items() if role == "validation"}
            chosen = [i for i, fact in enumerate(facts) if digest(f"{fact['study_id']}/{fact['side']}") in keys]
        else:
            seen = {key for key, role in roles["patients"].items() if role != "left out"}
            chosen = [i for i, fact in enumerate(facts) if digest(str(fact["patient_id"])) not in seen]
    if not chosen:
        raise DataError(
            f"none of {len(facts)} labelled breasts is left with --on {on}: give other data, or another --on"
        )
    return labelled.subset(chosen)


def _roles(model: Path) -> dict[str, dict[str, str]]:
    """Role of each breast and of each patient in the training of a run."""
    file = model / "data.json"
    if not file.is_file():
        log.warning("%s has no data.json: what it was trained on is unknown, nothing is left out", model.name)
        return {"breasts": {}, "patients": {}}
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["breasts"]
        breasts = {row["key"]: row["role"] for row in rows}
        patients: dict[str, str] = {}
        for row in rows:
            if patients.get(row["patient"], "left out") == "left out":
                patients[row["patient"]] = row["role"]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise DataError(f"{model.name}/data.json: damaged; it says what the model was trained on") from err
    return {"breasts": breasts, "patients": patients}
