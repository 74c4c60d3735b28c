"""The HTML page of a prediction."""

from __future__ import annotations

from collections.abc import Mapping

from .._shared.report.figures import Series, line_chart_svg
from .._shared.report.html import Cell, Figure, Section, Table, render_report
from ..classifier import Classifier
from ..data.study import Study
from ..kinetics import TYPES, Kinetics
from .documents import stamp
from .findings import Candidate, Prediction

_MAX_CURVES = 6
_KINETIC = ("PE, %", "SER", "TTP, s", "wash-out, % / min", "curve type")


def prediction_report(
    classifier: Classifier,
    study: Study,
    prediction: Prediction,
    pictures: Mapping[str, bytes],
    *,
    label: str = "",
    geometry: bool = True,
) -> str:
    """One file with probabilities, candidates, curves and projections."""
    candidates = [c for b in prediction.breasts for c in b.candidates]
    sections = [_verdict(classifier, prediction, geometry), _candidates(prediction, geometry)]
    sections.append(_curves(study, candidates))
    alt = "projection of the first subtraction, and the map over it with numbered candidates"
    text = (
        "Left: maximum intensity projection of the first post-contrast phase minus the pre-contrast one. Right: the "
        "map of the network, scaled to its own maximum, so that colours cannot be compared between patients."
    )
    for view, png in pictures.items():
        sections.append(Section(f"Projection, {view}", text, figures=[Figure(png, stamp(classifier), alt)]))
        text = ""  # once is enough
    sections.append(_technical(classifier, study, prediction))
    title = f"Breast DCE-MRI: {label}" if label else "Breast DCE-MRI"
    return render_report(title, sections, note=f"{stamp(classifier)}.")


def _verdict(classifier: Classifier, prediction: Prediction, geometry: bool) -> Section:
    calibrated = classifier.calibrator is not None
    rows: list[list[Cell]] = []
    for b in prediction.breasts:
        places: list[Cell] = ["no geometry"] * 3
        if geometry:
            places = [_place(b.location.center_mm), b.location.spread_mm, _place(b.baseline.center_mm)]
        rows.append([b.side, b.prob, b.score, *places])
    how = "calibrated on held-out cases" if calibrated else "not calibrated: too sure by construction"
    text = (
        f"Probability of malignancy, {how}. Centre: middle of the hottest region of the map. Spread: how far the "
        "centres of mirrored passes lie from it; large values mean an unstable answer. Beside it the strongest "
        "enhancement, which needs no network. The map exists for every breast, healthy or not."
    )
    header = [
        "breast",
        "probability",
        "score",
        "centre (RAS, mm)",
        "spread, mm",
        "strongest enhancement (RAS, mm)",
    ]
    return Section("Breasts", text=text, tables=[Table(header, rows)])


def _candidates(prediction: Prediction, geometry: bool) -> Section:
    rows: list[list[Cell]] = []
    for breast in prediction.breasts:
        for c in breast.candidates:
            place = _place(c.center_mm) if geometry else "no geometry"
            rows.append([f"{c.side} {c.rank}", breast.prob, place, c.score, *_kinetic_cells(c.kinetics)])
    header = ["candidate", "breast's probability", "place (RAS, mm)", "map value", *_KINETIC]
    text = (
        "The map has a hottest place in every breast: a candidate means something only where its breast is probable. "
        "Kinetics of a sphere of 4 mm around each place, from the acquisition times."
    )
    return Section("Candidates", text=text, tables=[Table(header, rows)])


def _kinetic_cells(kinetics: Kinetics | None) -> list[Cell]:
    if kinetics is None:
        return [None] * len(_KINETIC)
    k = kinetics
    return [100 * k.pe, k.ser, k.ttp_s, 100 * k.washout_per_min, TYPES.get(k.type, "none")]


def _curves(study: Study, candidates: list[Candidate]) -> Section:
    minutes = None if study.times_s is None else [t / 60 for t in study.times_s]
    series = []
    for c in candidates[:_MAX_CURVES]:
        if c.kinetics is not None:
            x = minutes or list(range(len(study.phases)))
            series.append(Series(f"{c.side} {c.rank}", x, [100 * v for v in c.kinetics.curve]))
    if not series:
        return Section("Curves", text="No candidate lies inside the volume.")
    label = "minutes after the first phase" if minutes else "phase (times are unknown)"
    chart = line_chart_svg(series, x_label=label, y_label="enhancement, %")
    caption = f"Enhancement over time of the first {len(series)} candidates"
    return Section("Curves", figures=[Figure(chart, caption, "curves of enhancement over time")])


def _technical(classifier: Classifier, study: Study, prediction: Prediction) -> Section:
    times = "unknown" if study.times_s is None else ", ".join(f"{t:g}" for t in study.times_s)
    rows: list[list[Cell]] = [
        ["phases", len(study.phases)],
        ["times, s", times],
        ["voxels", " x ".join(map(str, study.shape))],
        ["voxel size, mm", "unknown" if study.meta.get("no_geometry") else _size(study.spacing_mm)],
        ["median enhancement of tissue, %", ", ".join(f"{100 * v:.1f}" for v in prediction.wash_in)],
        ["weights, SHA-256", classifier.weights_sha256],
    ]
    rows += [["warning", text] for text in study.warnings]
    rows += [[f"{b.side} breast", text] for b in prediction.breasts for text in b.problems]
    return Section("Technical", tables=[Table(["what", "value"], rows)])


def _size(spacing_mm: tuple[float, float, float]) -> str:
    return " x ".join(f"{v:.3g}" for v in spacing_mm)


def _place(mm: tuple[float, float, float]) -> str:
    return ", ".join(f"{v:.1f}" for v in mm)
