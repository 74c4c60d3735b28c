"""The one real breast of the offline assets, with enhancement painted on: anatomy is real, contrast is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .._shared.assets import asset_path
from .._shared.errors import DataError
from .._shared.io.nrrd import read_nrrd
from .._shared.io.volumes import require_same_grid
from ..classifier import Classifier
from ..data.study import Side, Study, mask_center_mm
from ..geometry import distance_mm
from ..phantom import TIMES_S
from ..predict.findings import Prediction, predict_study

ATTRIBUTION = "Breast MR crop and mask: pyradiomics 3.0.1 (BSD-3-Clause); who drew the mask is not stated."
CAVEAT = (
    "One real breast with one time point: its enhancement is painted on inside the published mask, so the map shows "
    "that the pipeline works on real texture and says nothing about accuracy."
)
# A, alpha, beta of the painted curves: a malignant lesion and the background, from the middle of the phantom's ranges.
_LESION, _BACKGROUND = (1.8, 0.045, 0.0013), (0.15, 0.004, 0.0)


@dataclass(frozen=True, eq=False)
class RealBreast:
    """The study, what the model makes of it, and how far its centre lies from the mask's, mm."""

    study: Study
    prediction: Prediction
    distance_mm: float
    baseline_mm: float


def real_study() -> Study:
    """The crop as a dynamic study of one breast.

    Raises:
        DataError: the asset is not in the cache; its message names the command that fetches it.
    """
    folder = asset_path("pyradiomics") / "data"
    image, mask = (read_nrrd(folder / f"breast1_{name}.nrrd") for name in ("image", "label"))
    require_same_grid(image, mask)
    lesion = mask.array > 0
    soft = ndimage.gaussian_filter(lesion.astype(np.float32), 0.7)
    base = image.array.astype(np.float32)
    phases = np.stack([base * (1 + _enhancement(t, soft)) for t in TIMES_S])
    center = mask_center_mm(lesion, image.affine)
    side: Side = "right" if center[0] > 0 else "left"
    return Study(
        "breast1",
        "breast1",
        phases.astype(np.float32),
        image.affine,
        TIMES_S,
        {side: None},
        {},
        lesion,
        center,
        side,
        meta={"whole_image": True},
    )


def look_at_real_breast(classifier: Classifier) -> RealBreast:
    """Predict the real breast.

    Raises:
        DataError: the asset is not in the cache.
    """
    study = real_study()
    if study.center_mm is None:
        raise DataError("breast1: empty mask")
    prediction = predict_study(classifier, study)
    breast = prediction.breasts[0]
    return RealBreast(
        study,
        prediction,
        distance_mm(breast.location.center_mm, study.center_mm),
        distance_mm(breast.baseline.center_mm, study.center_mm),
    )


def _enhancement(t: float, lesion: np.ndarray) -> np.ndarray:
    def curve(a: float, alpha: float, beta: float) -> float:
        return a * (1 - np.exp(-alpha * t)) * np.exp(-beta * t)

    return curve(*_BACKGROUND) + (curve(*_LESION) - curve(*_BACKGROUND)) * lesion


def real_breast_png(real: RealBreast) -> bytes:
    """The slice through the lesion: image with the mask's outline, and the map over it."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    study, heat = real.study, real.prediction.coam
    lesion = np.zeros(study.shape, bool) if study.lesion_mask is None else study.lesion_mask
    z = int(lesion.sum((0, 1)).argmax())
    aspect = study.spacing_mm[1] / study.spacing_mm[0]
    figure = Figure(figsize=(8, 4.6), dpi=100, layout="constrained", facecolor="white")
    titles = ("real breast, mask outlined", "painted first subtraction", "COAM (trained on phantoms)")
    planes = (study.phases[0], study.phases[1] - study.phases[0], heat)
    for axis, plane, title in zip(figure.subplots(1, 3), planes, titles, strict=True):
        color = "inferno" if plane is heat else "gray"
        axis.imshow(plane[:, :, z].T, cmap=color, origin="lower", aspect=aspect, interpolation="nearest")
        axis.contour(lesion[:, :, z].T, levels=[0.5], colors="cyan", linewidths=0.8)
        axis.invert_xaxis()
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    figure.suptitle("not for patients; " + ATTRIBUTION, fontsize=8, color="0.35")
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()
