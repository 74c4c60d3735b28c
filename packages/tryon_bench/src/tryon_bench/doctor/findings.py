"""What the doctor says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .._shared.errors import DataError

Level = Literal["error", "warning", "info"]
_SHOWN = 3  # names of files in a message


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (error: evaluation refuses), odd (warning) or worth knowing (info).

    Attributes:
        level: error, warning or info.
        code: name of the check, stable for scripts.
        message: one line: what, where, what to do.
        row: number of the recurring user error, where it is one.
        subject: the data set, or the method's name.
        pair_ids: rows that are concerned.
    """

    level: Level
    code: str
    message: str
    row: int | None = None
    subject: str = "data"
    pair_ids: tuple[str, ...] = ()

    def as_row(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "pair_ids": list(self.pair_ids)}

    def __str__(self) -> str:
        return f"{self.level:7}  {self.subject}: {self.message}"


def listed(names: Sequence[str]) -> str:
    """The first names and how many there are.

    Example:
        >>> listed(["a", "b", "c", "d"])
        'a, b, c and 1 more'
    """
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def tally(values: Iterable[object]) -> str:
    """How often each value occurs, most frequent first.

    Example:
        >>> tally(["PNG", "JPEG", "PNG"])
        '2 PNG, 1 JPEG'
    """
    return ", ".join(f"{count} {value}" for value, count in Counter(values).most_common())


def require_sound(findings: Sequence[Finding], *, allow: bool = False) -> None:
    """Refuse an evaluation with errors.

    Raises:
        DataError: there is an error and it is not allowed; the message has the first, and how many there are.
    """
    errors = [finding for finding in findings if finding.level == "error"]
    if errors and not allow:
        rest = f" (and {len(errors) - 1} more errors: tryon-bench doctor lists them)" if len(errors) > 1 else ""
        raise DataError(
            f"{errors[0].subject}: {errors[0].message}{rest}; mend it, or leave such pairs out with --allow"
        )
