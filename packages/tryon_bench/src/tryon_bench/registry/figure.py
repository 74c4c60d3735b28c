"""The registry over time: values with their reading errors, and the least-squares line with its band, as the survey."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .._shared.errors import ConfigError
from .._shared.files import atomic_path
from .query import Digitised, method_named
from .schema import HIGHER_IS_BETTER

_MARKERS = {"tps": "^", "stn": "v", "flow": "x", "implicit": "D", "uv": "s"}


class Trend(NamedTuple):
    """A least-squares line over years.

    Attributes:
        slope: per year.
        intercept: at year 0.
        low: of the 95 % interval of the slope.
        high: likewise.
        n: points.
    """

    slope: float
    intercept: float
    low: float
    high: float
    n: int


def trend(rows: Sequence[Digitised]) -> Trend | None:
    """The line through all points but those of 1024x768, which the survey leaves out too; None below three points."""
    points = [(row.year, row.value) for row in rows if not row.size]
    if len(points) < 3 or len({year for year, _ in points}) < 2:
        return None
    years, values = (np.array(column, float) for column in zip(*points, strict=True))
    fit = stats.linregress(years, values)
    half = float(stats.t.ppf(0.975, len(points) - 2) * fit.stderr)
    slope = float(fit.slope)
    return Trend(slope, float(fit.intercept), slope - half, slope + half, len(points))


def plot_over_time(rows: Sequence[Digitised], path: Path) -> Trend | None:
    """Draw one metric over the years; marker shapes tell the kind of warp, as in the survey's figures.

    Args:
        rows: of one panel, see `query.find_results`.
        path: ends in .png, .svg or .pdf.

    Raises:
        ConfigError: rows of several panels or of none, or another suffix.
        ResourceError: the file cannot be written.
    """
    kinds = {(row.dataset, row.metric, row.setting, row.region) for row in rows}
    if len(kinds) != 1:
        raise ConfigError(
            f"plot: {len(kinds)} panels fit; choose one with --dataset, --metric, --setting and --region"
        )
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise ConfigError(f"{path.name}: expected a name ending in .png, .svg or .pdf")
    from matplotlib.figure import Figure

    dataset, metric, setting, region = next(iter(kinds))
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        colour = "0.6" if row.size else "C0"
        error = [[row.value - row.low], [row.high - row.value]]
        axes.errorbar(row.year, row.value, error, fmt="none", ecolor=colour, capsize=2)
        marker = _MARKERS[method_named(row.method).warp[0]]
        axes.plot(row.year, row.value, marker, color=colour, mfc="none" if row.recovered else colour)
        label = f"{row.name} {row.size}".strip()
        axes.annotate(label, (row.year, row.value), (5, 2), textcoords="offset points", fontsize=7)
    axes.margins(x=0.18)  # room for the names on the right
    line = trend(rows)
    if line is not None:
        _draw_line(axes, rows, line)
    arrow = "higher is better" if metric in HIGHER_IS_BETTER else "lower is better"
    doubt = "" if rows[0].usable else " (not usable: see the note)"
    axes.set(
        title=f"{dataset}, {setting} {region}: digitised from the survey's plots{doubt}",
        xlabel="year",
        ylabel=f"{metric} ({arrow})",
    )
    axes.set_xticks(range(min(row.year for row in rows), max(row.year for row in rows) + 1))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
    return line


def _draw_line(axes: object, rows: Sequence[Digitised], line: Trend) -> None:
    years = np.array([row.year for row in rows if not row.size], float)
    values = np.array([row.value for row in rows if not row.size])
    grid = np.linspace(years.min(), years.max(), 50)
    mean = line.intercept + line.slope * grid
    half = _band(years, values - line.intercept - line.slope * years, grid)
    axes.plot(grid, mean, color="C1")  # type: ignore[attr-defined]
    axes.fill_between(grid, mean - half, mean + half, color="C1", alpha=0.2)  # type: ignore[attr-defined]


def _band(
    years: NDArray[np.float64], residuals: NDArray[np.float64], grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Half width of the 95 % confidence band of the mean."""
    n, centred = len(years), years - years.mean()
    sigma = np.sqrt((residuals**2).sum() / (n - 2))
    spread = np.sqrt(1 / n + (grid - years.mean()) ** 2 / (centred**2).sum())
    return np.asarray(float(stats.t.ppf(0.975, n - 2)) * sigma * spread)
