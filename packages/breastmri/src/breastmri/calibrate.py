"""Fit a calibration on held-out breasts and store it beside the weights that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._shared.files import atomic_write
from ._shared.strict_json import to_json
from .calibration import (
    CalibrationKind,
    CalibrationReport,
    Calibrator,
    SensitivityThreshold,
    calibration_report,
    cross_fitted,
    fit_calibrator,
    site_thresholds,
)
from .cases import columns
from .classifier import CALIBRATION_FILE, Classifier
from .evaluate import named_values, score_cases
from .prepare import Breasts
from .report import reliability_figure

RELIABILITY_FILE = "reliability.svg"


@dataclass(frozen=True)
class CalibrationResult:
    """A fitted calibration, what it gains on patients that it was not fitted on, and thresholds per site."""

    calibrator: Calibrator
    report: CalibrationReport
    thresholds: dict[str, SensitivityThreshold]

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN is undefined."""
        return {
            "calibrator": self.calibrator.model_dump(),
            "report": named_values(self.report),
            "thresholds": named_values(self.thresholds),
        }


def calibrate_run(
    classifier: Classifier,
    breasts: Breasts,
    run_dir: Path,
    *,
    kind: CalibrationKind = "platt",
    sensitivity: float = 0.9,
    confidence: float = 0.95,
) -> CalibrationResult:
    """Write `calibration.json` and `reliability.svg` into a run; its predictions are calibrated from then on.

    Errors are cross-fitted by patient, so that no case judges a calibration that has seen it. Thresholds are on the
    score; a site with too few malignant breasts has none, with the number that it needs.

    Args:
        classifier: the run's model.
        breasts: labelled, held out from training.
        run_dir: the run.
        kind: platt, isotonic or beta.
        sensitivity: promised by the thresholds.
        confidence: of the promise.

    Raises:
        DataError: too few cases or one class only.
        ResourceError: the run directory cannot be written.
    """
    cases = score_cases(classifier, breasts)
    labels, scores, _, patients = columns(cases)
    calibrator = fit_calibrator(kind, labels, scores)
    before = classifier.uncalibrated(scores)
    after = cross_fitted(kind, labels, scores, patients)
    sites = [case.site for case in cases]
    result = CalibrationResult(
        calibrator,
        calibration_report(labels, before, after),
        site_thresholds(labels, scores, sites, sensitivity=sensitivity, confidence=confidence),
    )
    document = {"weights_sha256": classifier.weights_sha256, **result.to_json()}
    atomic_write(run_dir / CALIBRATION_FILE, to_json(document, indent=1) + "\n")
    curves = {"before": (labels, before), f"after {kind}, cross-fitted": (labels, after)}
    atomic_write(run_dir / RELIABILITY_FILE, reliability_figure(curves))
    return result


def calibration_text(result: CalibrationResult) -> str:
    """What `calibrate` prints."""
    r = result.report
    lines = [
        f"{result.calibrator.kind} on {r.n} held-out breasts, errors cross-fitted by patient",
        f"Brier score {r.brier_before:.4f} -> {r.brier_after:.4f}",
        f"expected calibration error {r.ece_before:.4f} -> {r.ece_after:.4f}",
    ]
    for site, t in result.thresholds.items():
        if t.undefined:
            lines.append(f"threshold of {site}: undefined ({t.undefined})")
        else:
            lines.append(
                f"threshold of {site}: score {t.threshold:.4f}, sensitivity {t.sensitivity:.3f} with lower bound "
                f"{t.lower_bound:.3f} (n = {t.n_positive} malignant)"
            )
    return "\n".join(lines)
