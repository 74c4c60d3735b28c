"""Read a data set, run every check, and tell what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.errors import DataError
from .._shared.logs import progress
from ..data.dataset import Dataset, Layout, open_dataset
from ..data.labels import LabelMapName
from .checks import CHECKS, Finding
from .facts import CaseFacts, measure

_ORDER = ("error", "warning", "note")
_SHOWN = 3


@dataclass(frozen=True)
class Diagnosis:
    """Findings, and the facts that they rest on."""

    dataset: Dataset
    facts: tuple[CaseFacts, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is neither an error nor a warning; notes do not count."""
        return all(finding.severity == "note" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "layout": self.dataset.layout,
            "classes": {str(k): v for k, v in self.dataset.classes.items()},
            "channels": list(self.dataset.channels),
            "labels": self.dataset.labels,
            "training": len(self.dataset.training),
            "testing": len(self.dataset.testing),
            "summary": summary(self),
            "findings": [asdict(finding) for finding in self.findings],
            "cases": [asdict(fact) for fact in self.facts],
        }


def examine(
    root: Path, layout: Layout = "auto", *, label_map: LabelMapName | None = None, quiet: bool = False
) -> Diagnosis:
    """Read every case of a data set once and say what is wrong or odd.

    What keeps the data set from being opened at all (a missing mask, a wrong label map) is the one finding then.

    Args:
        root: the data set's folder.
        layout: its layout, or "auto".
        label_map: which numbers mean which organs, for Synapse and BTCV.
        quiet: no progress.

    Raises:
        DataError: there is no such folder.
        ConfigError: an option does not fit the layout.
    """
    if not root.is_dir():
        raise DataError(f"{root.name}: expected a data set folder, found none; check the path")
    try:
        dataset = open_dataset(root, layout, label_map=label_map, overlap="allow")
    except DataError as err:
        return Diagnosis(Dataset(root, "unknown", {}, (), ()), (), (Finding("opening", "error", str(err)),))
    facts: list[CaseFacts] = []
    findings = [Finding("data set", "note", text) for text in dataset.warnings]
    work = [("training", case) for case in dataset.training] + [("testing", case) for case in dataset.testing]
    with progress(len(work), "reading cases", quiet=quiet) as bar:
        for part, case in work:
            try:
                facts.append(measure(case, part, dataset))
            except DataError as err:
                findings.append(Finding("readable", "error", str(err), (case.case_id,)))
            bar.update()
    for check in CHECKS:
        findings.extend(check(facts, dataset))
    return Diagnosis(dataset, tuple(facts), tuple(sorted(findings, key=lambda f: _ORDER.index(f.severity))))


def summary(diagnosis: Diagnosis) -> dict[str, Any]:
    """Ranges over the cases: sizes, spacing, orientation, intensity, volume of every class."""
    facts = diagnosis.facts
    if not facts:
        return {}
    spacing = np.array([f.spacing_mm for f in facts])
    known = diagnosis.dataset.is_volumetric and diagnosis.dataset.spacing_known
    volumes: dict[str, Any] = {}
    for label, name in diagnosis.dataset.classes.items():
        sizes = [
            f.label_voxels[label] * (float(np.prod(f.spacing_mm)) / 1000 if known else 1.0)
            for f in facts
            if f.label_voxels.get(label)
        ]
        if label:
            volumes[name] = {
                "cases": len(sizes),
                "unit": "ml" if known else "voxels",
                **(_range(sizes) if sizes else {}),
            }
    return {
        "shape": {
            "min": np.min([f.shape for f in facts], axis=0).tolist(),
            "max": np.max([f.shape for f in facts], axis=0).tolist(),
        },
        "spacing_mm": {
            "min": spacing.min(0).tolist(),
            "median": np.median(spacing, 0).tolist(),
            "max": spacing.max(0).tolist(),
        }
        if known
        else None,
        "orientation": dict(Counter(f.orientation for f in facts if f.orientation)),
        "intensity": {
            "min": min(f.low for f in facts),
            "max": max(f.high for f in facts),
            "mean": float(np.mean([f.mean for f in facts])),
        },
        "volumes": volumes,
        "ambiguous_pixels": sum(f.ambiguous_pixels for f in facts),
    }


def _range(values: Sequence[float]) -> dict[str, float]:
    return {"min": float(min(values)), "median": float(np.median(values)), "max": float(max(values))}


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """The human's form: what the set is, its ranges, the findings."""
    dataset, found = diagnosis.dataset, summary(diagnosis)
    opened = dataset.training or dataset.testing
    lines = [
        f"{dataset.layout}: {len(dataset.training)} training and {len(dataset.testing)} testing cases, "
        f"{len(dataset.classes)} classes, channels {', '.join(dataset.channels)}, masks: {dataset.labels}"
        if opened
        else f"{dataset.root.name}: cannot be opened as a data set"
    ]
    if found:
        lines.append(
            f"shape (D, H, W)   {_text(found['shape']['min'], 'x')} to {_text(found['shape']['max'], 'x')}"
        )
        if found["spacing_mm"]:
            ends = [_text(found["spacing_mm"][key], "x") for key in ("min", "median", "max")]
            lines.append(f"spacing, mm       {ends[0]} to {ends[2]}, median {ends[1]}")
        if found["orientation"]:
            lines.append("orientation       " + ", ".join(f"{k} {v}" for k, v in found["orientation"].items()))
        lines.append(f"intensity         {found['intensity']['min']:.4g} to {found['intensity']['max']:.4g}")
        for name, row in found["volumes"].items():
            size = f"{row['min']:.4g} to {row['max']:.4g} {row['unit']}" if row["cases"] else ""
            lines.append(f"{name:<17} in {row['cases']} cases {size}".rstrip())
    for finding in diagnosis.findings:
        names = ", ".join(finding.cases[:_SHOWN]) + (", ..." if len(finding.cases) > _SHOWN else "")
        lines.append(f"{finding.severity}: {finding.check}: {finding.message}" + (f" ({names})" if names else ""))
    count = sum(finding.severity != "note" for finding in diagnosis.findings)
    lines.append(f"{count} findings" if count else "nothing found")
    return "\n".join(lines)


def _text(values: Sequence[float], between: str) -> str:
    return between.join(f"{v:.4g}" for v in values)
