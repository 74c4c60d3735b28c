"""An explanation in words, and as one table over all presets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..engine.evaluation import Evaluation
from .explain import Effect, Explanation


def explanation_text(found: Explanation) -> str:
    """The gap, its causes by size, and what remains."""
    lines = [f"{found.metric} of {found.region}, {found.n} pairs", *([found.warning] if found.warning else [])]
    lines += [f"  {found.own:10.4f}  under {found.first}"]
    lines += [f"  {_signed(effect)}  {effect.cause}" for effect in found.causes]
    lines += ["  (the protocols agree in all that can move this number)"] if not found.causes else []
    interval = _interval(found.low, found.high)
    noise = f" (95 % interval {interval})" if interval else ""
    lines += [f"  {found.other:10.4f}  the same results under {found.second}{noise}"]
    if found.published is not None:
        lines += [
            f"  {found.unexplained:+10.4f}  not explained by the protocol{_inside(found)}",
            f"  {found.published:10.4f}  published",
        ]
    lines += [
        "If the results themselves had been made otherwise, the value under the second protocol would change by"
    ]
    lines += [f"  {_signed(effect)}  {effect.cause}" for effect in found.what_if]
    return "\n".join(lines)


def presets_text(evaluation: Evaluation, missing: Mapping[str, Sequence[str]]) -> str:
    """Every number of the one method under every protocol, and what is missing."""
    rows = [
        (r.protocol, r.metric, r.region, _number(r.value), _interval(r.low, r.high), str(r.n), r.note)
        for r in evaluation.results
    ]
    header = ("protocol", "metric", "region", "value", "95 % interval", "n", "")
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    table = ["  ".join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in (header, *rows)]
    lacking = [f"{name}: {line}" for name, lines in missing.items() for line in lines]
    return "\n".join([*([evaluation.warning] if evaluation.warning else []), *table, *lacking])


def _inside(found: Explanation) -> str:
    """Whether chance alone could close what remains."""
    if math.isnan(found.low) or found.published is None:
        return ""
    inside = found.low <= found.published <= found.high
    return ", and within the interval: chance may do" if inside else ", and more than the choice of pairs explains"


def _signed(effect: Effect) -> str:
    interval = "" if math.isnan(effect.low) else f" ({effect.low:+.4f} to {effect.high:+.4f})"
    return f"{effect.change:+10.4f}{interval}"


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.4f}"


def _interval(low: float, high: float) -> str:
    return "" if math.isnan(low) or math.isnan(high) else f"{low:.4f} to {high:.4f}"
