"""The demo's tables and page."""

from __future__ import annotations

from collections.abc import Sequence

from .._shared.metrics.delong import DelongTest
from .._shared.metrics.statistics import PatientInterval
from .._shared.report.html import Figure, Section, Table, render_report
from ..localize import BASELINE
from .methods import SLOW, SLOW_CASES, Method
from .real import ATTRIBUTION, RealBreast
from .real import CAVEAT as REAL_CAVEAT

CAVEAT = "Phantoms, one seed: not for patients, and no claim about them"


def method_table(methods: Sequence[Method]) -> tuple[list[str], list[list[str]]]:
    """A loss per row."""
    header = ["loss", "steps", "AUC", "95 % interval", "cancers", "others"]
    rows = [
        [
            m.name,
            str(m.steps),
            f"{m.auc.auc:.3f}",
            f"{m.auc.low:.3f} to {m.auc.high:.3f}",
            str(m.auc.n_positive),
            str(m.auc.n_negative),
        ]
        for m in methods
    ]
    return header, rows


def localiser_table(methods: Sequence[Method]) -> tuple[list[str], list[list[str]]]:
    """A localiser per row: median distance of its centre, mm, with interval and n, for each loss."""
    names = list(dict.fromkeys(name for m in methods for name in m.errors))
    names.sort(key=lambda name: name == BASELINE)  # beside them all, last
    header = ["localiser", "n", *(f"{m.name}: median error, mm" for m in methods)]
    rows = []
    for name in names:
        known = [m.errors.get(name) for m in methods]
        n = max(value.n_patients for value in known if value is not None)
        rows.append([name, str(n), *(_cell(value) for value in known)])
    return header, rows


def _cell(value: PatientInterval | None) -> str:
    if value is None:
        return "none (needs a cosine head)"
    return f"{value.estimate:.1f} ({value.low:.1f} to {value.high:.1f})"


def demo_report(
    methods: Sequence[Method], comparison: DelongTest, real: RealBreast, picture: bytes, mip: bytes
) -> str:
    """The page as one HTML file."""
    overview = Section(
        "Two losses",
        text=(
            "The same network, phantoms, order and number of steps; only the loss (and the cosine head that belongs to "
            f"it) differs. AUC difference CMSL - BCE {comparison.difference:+.3f} ({comparison.low:+.3f} to "
            f"{comparison.high:+.3f}), paired DeLong p = {comparison.p_value:.2g}. Intervals take the trained networks "
            "as given: another seed gives other networks."
        ),
        tables=[Table(*method_table(methods))],
    )
    localisers = Section(
        "Every localiser",
        text=(
            "Distance of the half-maximum centroid from the planted centre, median with a bootstrap interval; maps are "
            f"averaged over two mirrored passes. {', '.join(SLOW)} on {SLOW_CASES} cancers only. The last row needs no "
            "network: the strongest smoothed enhancement inside the breast."
        ),
        tables=[Table(*localiser_table(methods))],
    )
    study = Section(
        "A phantom as DICOM, predicted",
        text="Series in disorder on disk, sorted into phases by time; all its files are in the folder prediction.",
        figures=[Figure(mip, "Projection and COAM of a planted cancer", "subtraction and map with candidates")],
    )
    breast = Section(
        "A real breast",
        text=(
            f"{REAL_CAVEAT} COAM's centre lies {real.distance_mm:.1f} mm from the mask's, the strongest enhancement "
            f"{real.baseline_mm:.1f} mm (n = 1)."
        ),
        figures=[Figure(picture, ATTRIBUTION, "real breast with mask outline, painted subtraction and map")],
    )
    return render_report("breastmri demo", [overview, localisers, study, breast], note=f"{CAVEAT}. {ATTRIBUTION}")
