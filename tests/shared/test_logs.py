"""Logs and progress go to stderr, from one process, and to a terminal as a bar."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from quartet_shared import logs
from quartet_shared.logs import get_logger, progress, setup_logging


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    logger = logging.getLogger("quartet_shared")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:], logger.level = handlers, level


@pytest.fixture
def log() -> logging.Logger:
    return get_logger("quartet_shared.some.module")


def test_information_goes_to_stderr_once_even_if_set_up_twice(log, capsys) -> None:
    setup_logging()
    setup_logging()
    log.info("step %d", 3)
    log.debug("hidden")
    assert capsys.readouterr() == ("", "step 3\n")


def test_warnings_carry_their_level(log, capsys) -> None:
    setup_logging()
    log.warning("careful")
    assert capsys.readouterr().err == "warning: careful\n"


def test_quiet_keeps_warnings_only(log, capsys) -> None:
    setup_logging(quiet=True)
    log.info("hidden")
    log.warning("shown")
    assert capsys.readouterr().err == "warning: shown\n"


def test_debug_names_the_module(log, capsys) -> None:
    setup_logging(debug=True)
    log.debug("detail")
    assert capsys.readouterr().err == "quartet_shared.some.module: detail\n"


def test_other_ranks_report_errors_only(log, capsys, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    setup_logging(debug=True)
    log.warning("hidden")
    log.error("shown")
    assert capsys.readouterr().err.endswith("shown\n")


def test_records_follow_a_replaced_stderr(log, monkeypatch) -> None:
    setup_logging()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    log.info("late")
    assert sys.stderr.getvalue() == "late\n"


def test_progress_without_a_terminal_writes_a_line_every_few_seconds(capsys, monkeypatch) -> None:
    setup_logging()
    clock = iter(range(100))
    monkeypatch.setattr(logs.time, "monotonic", lambda: float(next(clock)))
    with progress(20, "training") as bar:
        for step in range(20):
            bar.update(loss=1 / (step + 3))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: 5/20 in 6 s, loss 0.1429"
    assert lines[-1].startswith("training: 20/20 in ")
    assert 4 <= len(lines) <= 6


def test_an_unknown_total_is_left_out(capsys) -> None:
    setup_logging()
    with progress(None, "reading") as bar:
        bar.update(7)
    assert capsys.readouterr().err == "reading: 7 in 0 s\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_a_bar_and_leaves_stdout_alone(capsys, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(2, "training") as bar:
        bar.update(loss=0.25)
        bar.update(loss=0.5)
        sys.stdout.write("result\n")
    shown = sys.stderr.getvalue()
    assert "training" in shown
    assert "2/2" in shown
    assert "loss 0.5" in shown
    assert "\x1b" in shown
    assert capsys.readouterr().out == "result\n"


@pytest.mark.parametrize("rank", ["0", "1"])
def test_progress_is_silent_when_quiet_or_on_other_ranks(capsys, monkeypatch, rank: str) -> None:
    setup_logging()
    monkeypatch.setenv("RANK", rank)
    with progress(1, "training", quiet=rank == "0") as bar:
        bar.update(loss=1.0)
    assert capsys.readouterr() == ("", "")
