"""Sentences of the Indiana reports by what they state and deny. Read at run time, never stored elsewhere.

The reports are CC BY-NC-ND 4.0; they are unpacked into the run's folder and stay there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .._shared.assets import asset_path
from .._shared.errors import DataError
from .._shared.io.archives import extract, is_complete
from ..data.iuxray import read_report
from ..prompts import Prompts
from ..sentences import split_sentences
from ..synth.projection import FINDINGS

_TERMS = {
    "Pleural Effusion": r"effusions?",
    "Consolidation": r"consolidations?|airspace (disease|opacit\w+)|infiltrates?",
    "Nodule": r"nodules?|nodular|mass(es)?",
    "Cardiomegaly": r"cardiomegaly|enlarged (heart|cardiac)|(heart|heart size|silhouette) is \w*\s?enlarged",
}
_NORMAL_HEART = re.compile(
    r"(heart|cardiac|cardiomediastinal)[\w\s]*\b(normal|within normal limits|unremarkable)", re.I
)
_DENIAL = re.compile(r"\b(no|not|without|negative|free|absent|never|nor|neither|resol\w+|clear)\b", re.IGNORECASE)
_DOUBT = re.compile(
    r"\b(may|possible|possibly|could|cannot|question\w*|versus|vs|suspect\w*|bilateral|both|XXXX)\b", re.I
)


@dataclass(frozen=True)
class SentenceBank:
    """Sentences of one share of the reports.

    Attributes:
        stating: (finding, side) to sentences that state this finding alone; side "right", "left" or "".
        denying: findings to sentences that deny exactly these.
    """

    stating: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    denying: dict[frozenset[str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def report(self, present: dict[str, str], rng: np.random.Generator) -> tuple[list[str], dict[str, str]]:
        """A report for a film: one sentence per present finding, one or two denials of absent ones.

        Args:
            present: finding to side.
            rng: source of the choice.

        Returns:
            Sentences in order, and finding to its sentence.
        """
        named = {}
        for finding, side in present.items():
            fitting = self.stating.get((finding, side), []) + self.stating.get((finding, ""), [])
            named[finding] = fitting[int(rng.integers(len(fitting)))]
        possible = [group for group in self.denying if not group & set(present)]
        denials: list[str] = []
        denied: set[str] = set()
        for i in rng.permutation(len(possible)):
            group = possible[int(i)]
            if len(denials) < 2 and not group & denied:
                denials.append(self.denying[group][int(rng.integers(len(self.denying[group])))])
                denied |= group
        sentences = [*named.values(), *denials]
        return [sentences[i] for i in rng.permutation(len(sentences))], named


def bank_prompts(bank: SentenceBank, most: int = 12) -> dict[str, Prompts]:
    """Prompt ensembles in the words of a bank: sentences that state, and that deny, each finding alone."""
    prompts = {}
    for name in FINDINGS:
        stating = [s for (finding, _), found in sorted(bank.stating.items()) if finding == name for s in found]
        denying = bank.denying.get(frozenset({name}), [])
        prompts[name] = Prompts(tuple(_spread(stating, most)), tuple(_spread(denying, most)))
    return prompts


def mentions(sentence: str) -> tuple[frozenset[str], bool]:
    """Findings that a sentence names, and whether it denies them.

    Example:
        >>> found, denied = mentions("No pleural effusion or focal consolidation.")
        >>> sorted(found), denied
        (['Consolidation', 'Pleural Effusion'], True)
        >>> mentions("The heart is normal in size.")
        (frozenset({'Cardiomegaly'}), True)
    """
    found = {name for name, pattern in _TERMS.items() if re.search(rf"\b({pattern})\b", sentence, re.IGNORECASE)}
    if _NORMAL_HEART.search(sentence) and not found:
        return frozenset({"Cardiomegaly"}), True
    return frozenset(found), bool(_DENIAL.search(sentence))


def side_of(sentence: str) -> str:
    """The side that a sentence names: "right", "left", "both", or "" for none."""
    sides = [side for side in ("right", "left") if re.search(rf"\b{side}\b", sentence, re.IGNORECASE)]
    return sides[0] if len(sides) == 1 else "" if not sides else "both"


def load_banks(folder: Path) -> tuple[SentenceBank, SentenceBank]:
    """Sentences for training and, from other reports, for testing.

    Args:
        folder: where the reports are unpacked.

    Raises:
        DataError: the asset is not on this machine, or a bank lacks a finding.
    """
    archive = asset_path("torchxrayvision") / "torchxrayvision" / "data" / "NLMCXR_reports.tgz"
    if not is_complete(folder):
        extract(archive, folder)
    train, test = SentenceBank(), SentenceBank()
    for number, path in enumerate(sorted(folder.rglob("*.xml"))):
        report = read_report(path)
        bank = test if number % 4 == 0 else train
        for sentence in split_sentences(report.sections.get("findings", "")):
            _keep(bank, sentence)
    for bank in (train, test):
        missing = [name for name in FINDINGS if not any(key[0] == name for key in bank.stating)]
        if missing or not bank.denying:
            raise DataError(
                f"Indiana reports: no sentence about {', '.join(missing) or 'absence'}; fetch the asset again"
            )
    return train, test


def _spread(sentences: list[str], most: int) -> list[str]:
    """At most so many different sentences, from all over the list."""
    different = list(dict.fromkeys(sentences))
    return different[:: max(1, -(-len(different) // most))]


def _keep(bank: SentenceBank, sentence: str) -> None:
    words = len(sentence.split())
    found, denied = mentions(sentence)
    if not found or not 2 <= words <= 20 or _DOUBT.search(sentence):
        return
    if denied:
        bank.denying[found].append(sentence)
    elif len(found) == 1 and side_of(sentence) != "both":
        (name,) = found
        bank.stating[name, "" if name == "Cardiomegaly" else side_of(sentence)].append(sentence)
