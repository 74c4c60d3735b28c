"""Plain documents of a prediction: `prob.json`, the candidates, and markups that 3D Slicer opens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from .._shared.io.volumes import Volume
from ..classifier import Classifier
from ..data.study import Study
from ..kinetics import TYPES, Kinetics
from .findings import BreastFinding, Candidate, Prediction

STAMP = "not for patients: the model was trained on synthetic phantoms"
RESEARCH = "research software, no medical device"
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


def stamp(classifier: Classifier) -> str:
    """What every output says about itself."""
    return STAMP if classifier.phantom else RESEARCH


def prob_document(classifier: Classifier, study: Study, prediction: Prediction, label: str) -> dict[str, Any]:
    """The content of `prob.json`; identifies nobody unless `label` does."""
    calibrated = classifier.calibrator is not None
    document: dict[str, Any] = {
        "notice": stamp(classifier),
        "breasts": {b.side: _breast(b, geometry=not study.meta.get("no_geometry")) for b in prediction.breasts},
        "calibrated": calibrated,
        "probability": "calibrated on held-out cases" if calibrated else "uncalibrated: too sure by construction",
        "model_sha256": classifier.weights_sha256,
        "phases": len(study.phases),
        "times_s": None if study.times_s is None else list(study.times_s),
        "wash_in": list(prediction.wash_in),
        "spacing_mm": None if study.meta.get("no_geometry") else list(study.spacing_mm),
        "contribution": prediction.contribution is not None,
        "warnings": list(study.warnings),
    }
    return document | ({"label": label} if label else {})


def odelia_document(prediction: Prediction) -> dict[str, dict[str, float]]:
    """The challenge's likelihoods; a model of two classes cannot tell normal from benign, so both get half of the rest.

    Each side sums to 1.
    """
    return {
        b.side: {"normal": (1 - b.prob) / 2, "benign": (1 - b.prob) / 2, "malignant": b.prob}
        for b in prediction.breasts
    }


def candidate_documents(prediction: Prediction, grid: Volume, *, geometry: bool = True) -> list[dict[str, Any]]:
    """All candidates with RAS and LPS coordinates and the voxel of the file; without geometry only the voxel."""
    documents = []
    for breast in prediction.breasts:
        for candidate in breast.candidates:
            document = _candidate(candidate, grid) | {"breast_probability": breast.prob}
            if not geometry:
                document.pop("ras_mm")
                document.pop("lps_mm")
            documents.append(document)
    return documents


def markups_document(candidates: Sequence[Candidate], notice: str) -> dict[str, Any]:
    """Points for 3D Slicer, in LPS millimetres.

    The form is that of Slicer's markups schema 1.0.3.
    """
    points = [
        {
            "id": str(number),
            "label": f"{candidate.side} {candidate.rank}",
            "description": f"map value {candidate.score:.4g}; {notice}",
            "associatedNodeID": "",
            "position": lps(candidate.center_mm),
            "selected": True,
            "locked": True,
            "visibility": True,
            "positionStatus": "defined",
        }
        for number, candidate in enumerate(candidates, start=1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "controlPoints": points,
    }
    return {"@schema": _SCHEMA, "markups": [markup]}


def lps(ras_mm: Sequence[float]) -> list[float]:
    """DICOM's patient axes of a place in RAS.

    Example:
        >>> lps((1.0, 2.0, 3.0))
        [-1.0, -2.0, 3.0]
    """
    x, y, z = ras_mm
    return [-x, -y, z]


def _breast(breast: BreastFinding, *, geometry: bool) -> dict[str, Any]:
    """Places and distances only where the images have a geometry."""
    document: dict[str, Any] = {
        "probability": breast.prob,
        "score": breast.score,
        "problems": list(breast.problems),
    }
    if geometry:
        document |= {
            "center_ras_mm": list(breast.location.center_mm),
            "center_spread_mm": breast.location.spread_mm,
            "enhancement_center_ras_mm": list(breast.baseline.center_mm),
        }
    return document


def _candidate(candidate: Candidate, grid: Volume) -> dict[str, Any]:
    affine = grid.source.affine
    voxel = np.linalg.solve(affine[:3, :3], np.array(candidate.center_mm) - affine[:3, 3])
    return {
        "side": candidate.side,
        "rank": candidate.rank,
        "ras_mm": list(candidate.center_mm),
        "lps_mm": lps(candidate.center_mm),
        "file_voxel": [round(float(v), 2) for v in voxel],
        "map_value": candidate.score,
        "in_breast": candidate.in_breast,
        "kinetics": None if candidate.kinetics is None else kinetics_document(candidate.kinetics),
    }


def kinetics_document(kinetics: Kinetics) -> dict[str, Any]:
    """A curve in plain values; NaN becomes null when it is written."""
    values = asdict(kinetics)
    values["type"] = TYPES.get(kinetics.type, "none")
    return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in values.items()}
