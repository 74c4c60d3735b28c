"""Sentences that ask for a finding, and sentences that deny it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._shared.errors import ConfigError

# How a report names the findings of the usual label sets, where the label itself is no English noun phrase.
_TERMS = {
    "Edema": "pulmonary edema",
    "Enlarged Cardiomediastinum": "enlarged cardiomediastinal silhouette",
    "Lung Opacity": "lung opacity",
    "Lung Lesion": "lung nodule or mass",
    "Pleural Other": "pleural thickening",
    "Fracture": "rib fracture",
    "Support Devices": "support device",
    "COVID-19": "COVID-19 pneumonia",
}
POSITIVE = ("There is {}.", "Findings consistent with {}.", "{} is present.")
NEGATIVE = ("No {}.", "There is no evidence of {}.", "{} is not seen.")
_NORMAL = ("No acute cardiopulmonary process.", "The lungs are clear.", "Normal chest film.")
_ABNORMAL = ("There is an acute abnormality.", "Abnormal chest film.")


@dataclass(frozen=True)
class Prompts:
    """The ensemble of one finding.

    Attributes:
        positive: sentences that state it.
        negative: sentences that deny it; () for scores without denial.
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...]


def default_prompts(names: Sequence[str]) -> dict[str, Prompts]:
    """Three sentences for and three against each finding; "No Finding" and "Normal" ask for a normal film.

    Example:
        >>> default_prompts(["Edema"])["Edema"].negative[0]
        'No pulmonary edema.'
    """
    prompts = {}
    for name in names:
        if name.lower() in ("no finding", "normal"):
            prompts[name] = Prompts(_NORMAL, _ABNORMAL)
        else:
            term = _TERMS.get(name, name.lower())
            prompts[name] = Prompts(*(tuple(_sentence(t, term) for t in group) for group in (POSITIVE, NEGATIVE)))
    return prompts


def read_prompts(path: Path) -> dict[str, Prompts]:
    """Read a TOML file with a table per finding: `["Pleural Effusion"]`, `positive = [...]`, `negative = [...]`.

    Raises:
        ConfigError: damaged, or a finding without positive sentences.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ConfigError(f"{path.name}: not readable as TOML; expected a table of sentences per finding") from err
    return {name: _checked(path.name, name, table) for name, table in content.items()}


def _checked(file: str, name: str, table: object) -> Prompts:
    groups = [table.get(key, []) if isinstance(table, Mapping) else None for key in ("positive", "negative")]
    for group in groups:
        if not isinstance(group, list) or not all(isinstance(s, str) and s.strip() for s in group):
            raise ConfigError(f"{file}: {name}: expected lists of sentences, positive and negative")
    if not groups[0]:
        raise ConfigError(f"{file}: {name}: expected at least one positive sentence")
    return Prompts(tuple(groups[0] or ()), tuple(groups[1] or ()))


def _sentence(template: str, term: str) -> str:
    text = template.format(term)
    return text[:1].upper() + text[1:]
