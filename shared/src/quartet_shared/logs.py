"""Logs and progress on stderr; stdout belongs to results."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

_PACKAGE = __name__.partition(".")[0]
_SECONDS_BETWEEN_LINES = 5.0


def is_main_process() -> bool:
    """Whether this process speaks and writes for all: rank 0, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def get_logger(name: str) -> logging.Logger:
    """The logger of a module; silent below warnings until `setup_logging` runs."""
    return logging.getLogger(name)


def setup_logging(*, quiet: bool = False, debug: bool = False) -> None:
    """Send this package's log records to stderr. For commands; a library user configures `logging` instead.

    Args:
        quiet: warnings and errors only.
        debug: everything, with the module's name.
    """
    logger = logging.getLogger(_PACKAGE)
    for handler in list(logger.handlers):
        if isinstance(handler, _StderrHandler):
            logger.removeHandler(handler)
    logger.addHandler(_StderrHandler(debug))
    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    logger.setLevel(level if is_main_process() else max(level, logging.ERROR))


class _StderrHandler(logging.StreamHandler):
    """Writes to the `sys.stderr` of the moment: rich replaces it to print lines above a live bar."""

    def __init__(self, debug: bool) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_LevelFormatter("%(name)s: %(message)s" if debug else "%(message)s"))

    @property
    def stream(self) -> TextIO:
        return sys.stderr


class _LevelFormatter(logging.Formatter):
    """Plain lines for information, the level in front of anything graver."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        text = super().formatMessage(record)
        return f"{record.levelname.lower()}: {text}" if record.levelno > logging.INFO else text


class Progress(Protocol):
    """What `progress` yields."""

    def update(self, advance: int = 1, **fields: Any) -> None:
        """Count `advance` units as done and show `fields` (name and value) beside the count."""


@contextmanager
def progress(total: int | None, description: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Show how far a loop is: a bar on a terminal, a log line every few seconds elsewhere, nothing on other ranks.

    Args:
        total: units of work, None where unknown.
        description: what is done, such as "training".
        quiet: show nothing.

    Example:
        >>> with progress(3, "predicting", quiet=True) as bar:
        ...     for _ in range(3):
        ...         bar.update(loss=0.5)
    """
    if quiet or not is_main_process():
        yield _Silent()
    elif sys.stderr.isatty():
        with _bar(total, description) as bar:
            yield bar
    else:
        lines = _Lines(total, description)
        yield lines
        lines.write()


class _Silent:
    def update(self, advance: int = 1, **fields: Any) -> None:
        pass


class _Lines:
    def __init__(self, total: int | None, description: str) -> None:
        self._total, self._description = total, description
        self._done, self._text = 0, ""
        self._start = self._last = time.monotonic()

    def update(self, advance: int = 1, **fields: Any) -> None:
        self._done += advance
        self._text = _show(fields)
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self.write()

    def write(self) -> None:
        self._last = time.monotonic()
        of = "" if self._total is None else f"/{self._total}"
        seconds = self._last - self._start
        get_logger(__name__).info("%s: %d%s in %.0f s%s", self._description, self._done, of, seconds, self._text)


@contextmanager
def _bar(total: int | None, description: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with RichProgress(*columns, console=Console(stderr=True), redirect_stdout=False, transient=True) as rich:
        task = rich.add_task(description, total=total, text="")

        class Bar:
            def update(self, advance: int = 1, **fields: Any) -> None:
                rich.update(task, advance=advance, text=_show(fields))

        yield Bar()


def _show(fields: dict[str, Any]) -> str:
    return "".join(f", {k} {v:.4g}" if isinstance(v, float) else f", {k} {v}" for k, v in fields.items())
