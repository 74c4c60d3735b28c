"""From an examination to a folder of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .._shared.errors import ConfigError, DataError
from .._shared.files import atomic_write, require_writable_dir
from .._shared.io.volumes import read_volume, require_same_grid, write_volume
from .._shared.strict_json import to_json
from ..classifier import Classifier
from ..kinetics import kinetic_maps
from .documents import candidate_documents, markups_document, odelia_document, prob_document, stamp
from .examination import Examination
from .findings import Prediction, predict_study
from .pictures import mip_pngs
from .report import prediction_report

LAST = "prob.json"  # written last: its presence says that the folder is whole
ODELIA = "bilateral-breast-classification-likelihoods.json"


@dataclass(frozen=True, eq=False)
class Written:
    """What was written, and the prediction behind it."""

    folder: Path
    files: tuple[str, ...]
    document: dict[str, Any]
    prediction: Prediction


def predict_examination(
    classifier: Classifier,
    examination: Examination,
    out: Path,
    *,
    localiser: str = "coam",
    flips: int = 2,
    label: str = "",
    output: Literal["standard", "odelia"] = "standard",
    allow_suspicious: bool = False,
) -> Written:
    """Predict and write maps, documents, pictures and the report into `out`.

    Maps lie on the grid and affine of the examination's first phase and are read back to prove it.

    Args:
        classifier: the trained model.
        examination: see `open_examination`.
        out: folder for the results.
        localiser: of the map that candidates come from.
        flips: 1, 2 or 8 mirrored passes whose maps are averaged.
        label: a text for report and documents; nothing else tells whose examination it is.
        output: also write the challenge's likelihoods for "odelia".
        allow_suspicious: go on although the phases seem to be in the wrong order.

    Raises:
        ConfigError: `out` holds a prediction already, or an unknown localiser.
        DataError: the study cannot be scored.
        ResourceError: `out` cannot be written.
    """
    if (out / LAST).exists():
        raise ConfigError(f"{out.name}: holds a prediction already; choose another --out")
    require_writable_dir(out)
    study, notice = examination.study, stamp(classifier)
    prediction = predict_study(
        classifier, study, localiser=localiser, flips=flips, allow_suspicious=allow_suspicious
    )
    geometry = not study.meta.get("no_geometry")
    files = _write_maps(out, _maps(examination, prediction), examination, notice)
    pictures = mip_pngs(study, prediction, notice)
    for view, png in pictures.items():
        files.append(_write(out, f"mip_{view}.png", png))
    candidates = candidate_documents(prediction, examination.grid, geometry=geometry)
    files.append(_write(out, "candidates.json", to_json({"notice": notice, "candidates": candidates}, indent=1)))
    if geometry:
        marks = markups_document([c for b in prediction.breasts for c in b.candidates], notice)
        files.append(_write(out, "candidates.mrk.json", to_json(marks, indent=1)))
    page = prediction_report(classifier, study, prediction, pictures, label=label, geometry=geometry)
    files.append(_write(out, "report.html", page))
    if output == "odelia":
        files.append(_write(out, ODELIA, to_json(odelia_document(prediction), indent=1)))
    document = prob_document(classifier, study, prediction, label)
    files.append(_write(out, LAST, to_json(document, indent=1)))
    return Written(out, tuple(files), document, prediction)


def _maps(examination: Examination, prediction: Prediction) -> dict[str, np.ndarray]:
    maps = {"coam": prediction.coam}
    if prediction.contribution is not None:
        maps["contribution"] = prediction.contribution
    return maps | {f"kinetics_{name}": values for name, values in kinetic_maps(examination.study).items()}


def _write_maps(out: Path, maps: Mapping[str, np.ndarray], examination: Examination, notice: str) -> list[str]:
    files = []
    for name, array in maps.items():
        kind = np.uint8 if name == "kinetics_type" else np.float32
        path = out / f"{name}.nii.gz"
        write_volume(path, array, like=examination.grid, dtype=kind, description=notice)
        try:
            require_same_grid(examination.grid, read_volume(path))
        except DataError:
            path.unlink()
            raise
        files.append(path.name)
    return files


def _write(out: Path, name: str, data: str | bytes) -> str:
    atomic_write(out / name, data)
    return name
