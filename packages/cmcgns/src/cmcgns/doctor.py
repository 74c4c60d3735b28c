"""What is in a data set, and what is wrong with it, before hours are spent on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._shared.errors import DataError
from ._shared.logs import progress
from ._shared.order import generator
from .data.pairs import ABSENT, PRESENT, UNCERTAIN, Pair, PairDataset
from .data.pixels import read_mask_source, read_pixels
from .data.splits import require_no_leak
from .sentences import split_sentences

MANY_DUPLICATES = 0.3  # share of reports that repeat another one, above which contrast sees few true negatives


@dataclass(frozen=True)
class Diagnosis:
    """Facts about a data set, and findings that should be looked at.

    Attributes:
        facts: counts and shares.
        findings: one sentence each; empty for a data set without complaint.
    """

    facts: dict[str, Any]
    findings: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """True without findings."""
        return not self.findings


def examine(dataset: PairDataset, *, films: int = 200, seed: int = 0, quiet: bool = True) -> Diagnosis:
    """Count samples, patients, sides, sentences, labels and boxes; read some films.

    Args:
        dataset: what to examine.
        films: how many films to read, drawn at random; 0 reads none.
        seed: of the draw.
        quiet: no progress.
    """
    findings: list[str] = []
    if not len(dataset):
        findings.append("no sample is left; see the excluded ones")
    try:
        require_no_leak(dataset)
    except DataError as err:
        findings.append(str(err))
    facts: dict[str, Any] = {
        "format": dataset.name,
        "samples": len(dataset),
        "patients": len({pair.patient_id for pair in dataset}),
        "sides": dict(Counter(pair.split or "none" for pair in dataset)),
        "views": dict(Counter(pair.view or "unknown" for pair in dataset)),
        "boxes": sum(len(pair.regions) for pair in dataset),
        "masks": sum(pair.mask is not None for pair in dataset),
        "synthetic_pairs": sum(pair.synthetic for pair in dataset),
        "excluded": dict(Counter(dataset.excluded.values())),
        "reports": _reports(dataset, findings),
        "labels": _labels(dataset, findings),
    }
    facts["films"] = _films(dataset, films, seed, findings, quiet)
    return Diagnosis(facts, findings)


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """A diagnosis for people."""
    facts = diagnosis.facts
    lines = [f"{facts['format']}: {facts['samples']} samples of {facts['patients']} patients"]
    for name in ("sides", "views", "excluded", "films"):
        if facts[name]:
            lines.append(f"  {name}: " + ", ".join(f"{k} {v}" for k, v in facts[name].items()))
    reports = facts["reports"]
    if reports["with_report"]:
        lines.append(
            f"  reports: {reports['with_report']}, median {reports['median_sentences']:g} sentences and "
            f"{reports['median_words']:g} words, {100 * reports['repeated_share']:.0f} % repeat another"
        )
    for name, counts in facts["labels"].items():
        lines.append(f"  {name}: " + ", ".join(f"{k} {v}" for k, v in counts.items()))
    if facts["boxes"] or facts["masks"]:
        lines.append(f"  boxes {facts['boxes']}, masks {facts['masks']}")
    lines += [f"finding: {text}" for text in diagnosis.findings]
    return "\n".join([*lines, "no findings" if diagnosis.healthy else f"{len(diagnosis.findings)} findings"])


def _reports(dataset: PairDataset, findings: list[str]) -> dict[str, Any]:
    # films of one study share its report, which is no repetition
    texts = list({pair.study_id or str(i): pair.report for i, pair in enumerate(dataset) if pair.report}.values())
    sentences = [len(split_sentences(text)) for text in texts]
    empty = sum(count == 0 for count in sentences)
    if empty:
        findings.append(f"{empty} of {len(texts)} reports hold no sentence with letters; training leaves them out")
    counts = Counter(" ".join(text.lower().split()) for text in texts)
    repeated = sum(count for count in counts.values() if count > 1)
    share = repeated / len(texts) if texts else 0.0
    if share > MANY_DUPLICATES:
        findings.append(
            f"{100 * share:.0f} % of the reports repeat another one word for word: count retrieval duplicate-aware "
            "(the default) and keep loss.false_negatives=exclude"
        )
    words = [len(text.split()) for text in texts]
    return {
        "with_report": len(texts),
        "median_sentences": float(np.median(sentences)) if texts else None,
        "median_words": float(np.median(words)) if texts else None,
        "repeated_share": share,
    }


def _labels(dataset: PairDataset, findings: list[str]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for name in dataset.label_names:
        values = [pair.labels.get(name) for pair in dataset]
        counts[name] = {
            "present": values.count(PRESENT),
            "absent": values.count(ABSENT),
            "uncertain": values.count(UNCERTAIN),
            "not mentioned": values.count(None),
        }
    alone = [name for name, c in counts.items() if c["absent"] and not c["present"]]
    if alone:
        findings.append(f"labels that are never present: {', '.join(alone)}; their AUROC is undefined")
    return counts


def _films(dataset: PairDataset, films: int, seed: int, findings: list[str], quiet: bool) -> dict[str, int]:
    count = min(films, len(dataset))
    places: Sequence[int] = sorted(int(i) for i in generator(seed, "doctor").permutation(len(dataset))[:count])
    problems: list[str] = []
    flat = 0
    with progress(count, "reading films", quiet=quiet) as bar:
        for place in places:
            problem, constant = _read(dataset[place])
            problems += [problem] if problem else []
            flat += constant
            bar.update()
    if problems:
        findings.append(f"{len(problems)} of {count} films read cannot be used; the first: {problems[0]}")
    if flat:
        findings.append(f"{flat} of {count} films read are of one grey value")
    return {"read": count, "unreadable": len(problems), "constant": flat}


def _read(pair: Pair) -> tuple[str, bool]:
    """Why a film cannot be used ("" if it can), and whether it is of one grey value."""
    try:
        film = read_pixels(pair.image)
        if pair.mask is not None:
            mask = read_mask_source(pair.mask)
            if (
                abs(mask.shape[0] * film.shape[1] - mask.shape[1] * film.shape[0])
                > max(mask.shape) * max(film.shape) // 50
            ):
                return f"mask of {mask.shape[1]} x {mask.shape[0]} pixels for a film of another shape", False
    except DataError as err:
        return str(err), False
    return "", bool(film.max() == film.min())
