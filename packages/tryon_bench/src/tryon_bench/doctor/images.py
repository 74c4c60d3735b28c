"""Checks of how single images are stored: damaged, transparent, 16-bit, palette, CMYK, gray, rotated by EXIF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ..data.stored import Stored
from .findings import Finding, Level, listed
from .survey import Looked


class _Oddity(NamedTuple):
    code: str
    level: Level
    is_so: Callable[[Stored], bool]
    text: str


_ODDITIES = (
    _Oddity(
        "alpha",
        "error",
        lambda s: s.has_alpha,
        "have transparency; flatten them, a viewer's background is a guess",
    ),
    _Oddity(
        "sixteen_bit",
        "error",
        lambda s: s.bits > 8,
        "have 16 bits per channel; metrics are defined on 8, convert them",
    ),
    _Oddity(
        "palette",
        "warning",
        lambda s: s.mode == "P",
        "are palette images of at most 256 colours; save results as RGB",
    ),
    _Oddity(
        "cmyk",
        "warning",
        lambda s: s.mode == "CMYK",
        "are CMYK; their conversion to RGB is a guess without the profile",
    ),
    _Oddity(
        "grey", "warning", lambda s: s.mode in ("L", "1", "LA"), "are gray; three equal channels are compared"
    ),
    _Oddity(
        "rotated",
        "warning",
        lambda s: s.rotated,
        "are turned by EXIF here; other programs ignore it and compare them lying",
    ),
)


def check_images(kind: str, files: Mapping[str, Looked], subject: str) -> Iterator[Finding]:
    """One line per file that cannot be used, one per oddity that others share.

    Args:
        kind: what the files are, in the plural.
        files: pair id -> file.
        subject: data, or the method's name.
    """
    by_path: dict[str, list[str]] = {}
    for pair_id, looked in files.items():
        if looked.problem:
            by_path.setdefault(looked.problem, []).append(pair_id)
    for problem, pair_ids in by_path.items():
        code = "missing" if problem.endswith("no such file") else "unreadable"
        yield Finding("error", code, f"{kind}: {problem}", None, subject, tuple(pair_ids))
    for oddity in _ODDITIES:
        found = {p: f for p, f in files.items() if f.facts and not f.problem and oddity.is_so(f.facts)}
        if found:
            names = list(dict.fromkeys(looked.path.name for looked in found.values()))
            message = f"{len(names)} {kind} ({listed(names)}) {oddity.text}"
            yield Finding(oddity.level, oddity.code, message, None, subject, tuple(found))
