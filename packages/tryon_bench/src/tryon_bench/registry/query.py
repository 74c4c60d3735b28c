"""Ask the registry: methods by their properties, numbers with their errors and where they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from .._shared.config import read_toml
from .._shared.errors import ConfigError, DataError
from .schema import Method, Panel, Published, Registry


@dataclass(frozen=True)
class Digitised:
    """One number read from a plot. It never decides a test: it has the error of reading and an unknown protocol.

    Attributes:
        method: key.
        name: usual name.
        year: of the method.
        dataset: VITON or VITON-HD.
        metric: what.
        setting: paired or unpaired.
        region: all, clothing or person.
        value: as read.
        low: value minus the error of reading, or the lower end of a range.
        high: the other end.
        size: "1024x768" for the two methods that were run again, else "".
        recovered: read indirectly.
        usable: False where the panel is invalid or its scale is not known.
        note: why.
        source: where it comes from.
    """

    method: str
    name: str
    year: int
    dataset: str
    metric: str
    setting: str
    region: str
    value: float
    low: float
    high: float
    size: str
    recovered: bool
    usable: bool
    note: str
    source: str = "digitised from a plot of the survey's repository (arXiv 2311.04811); protocol not published"


@cache
def load_registry() -> Registry:
    """The tables that the package carries, validated.

    Raises:
        DataError: a table was changed and does not fit any more.
    """
    folder = Path(__file__).parent
    tables = [read_toml(folder / f"{name}.toml") for name in ("methods", "digitised", "published")]
    try:
        return Registry.model_validate({key: value for table in tables for key, value in table.items()})
    except ValidationError as err:
        problem = err.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise DataError(f"registry: {where}: {problem['msg']}; install the package again") from err


def find_methods(
    *,
    method: str | None = None,
    tag: str | None = None,
    pipeline: str | None = None,
    warp: str | None = None,
    stage: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> list[Method]:
    """Methods that fit all given filters, by year.

    Raises:
        ConfigError: no method has that name.

    Example:
        >>> [m.id for m in find_methods(tag="high_res", until=2022)]
        ['viton-hd', 'hr-viton']
    """
    methods = load_registry().methods
    if method is not None:
        methods = (method_named(method),)
    found = [
        m
        for m in methods
        if (tag is None or tag in m.tags)
        and (pipeline is None or m.pipeline == pipeline)
        and (warp is None or warp in m.warp)
        and (stage is None or m.tryon_stage == stage)
        and (since is None or m.year >= since)
        and (until is None or m.year <= until)
    ]
    return sorted(found, key=lambda m: m.year)


def method_named(name: str) -> Method:
    """A method by its key or any of its names, without regard to case.

    Raises:
        ConfigError: there is none.
    """
    for method in load_registry().methods:
        if name.lower() in (method.id, *(known.lower() for known in method.names)):
            return method
    raise ConfigError(f"method {name!r} is not in the registry; `tryon-bench registry methods` lists all")


def find_results(
    *,
    method: str | None = None,
    dataset: str | None = None,
    metric: str | None = None,
    setting: str | None = None,
    region: str | None = None,
) -> list[Digitised]:
    """Digitised numbers that fit all given filters.

    Example:
        >>> row = find_results(method="gp-vton", metric="ssim", setting="paired", region="all")[0]
        >>> row.value, round(row.high - row.value, 6)
        (0.8798, 0.0002)
    """
    key = None if method is None else method_named(method).id
    wanted = {"dataset": dataset, "metric": metric, "setting": setting, "region": region}
    panels = [
        panel
        for panel in load_registry().panels
        if all(value is None or getattr(panel, field) == value for field, value in wanted.items())
    ]
    return [row for panel in panels for row in _rows(panel) if key is None or row.method == key]


def find_published(method: str | None = None) -> list[Published]:
    """What papers print for a method on VITON-HD; methods outside of the survey too."""
    rows = load_registry().published
    return [row for row in rows if method is None or row.method == method.lower()]


def _rows(panel: Panel) -> Iterator[Digitised]:
    by_id = {method.id: method for method in load_registry().methods}
    for key, value in panel.values.items():
        method, _, size = key.partition("@")
        low, high = panel.ranges.get(key, (value - panel.error, value + panel.error))
        yield Digitised(
            method=method,
            name=by_id[method].names[0],
            year=by_id[method].year,
            dataset=panel.dataset,
            metric=panel.metric,
            setting=panel.setting,
            region=panel.region,
            value=value,
            low=low,
            high=high,
            size="1024x768" if size else "",
            recovered=key in panel.recovered,
            usable=panel.valid and panel.scale_known,
            note=panel.note,
        )
