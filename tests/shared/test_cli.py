"""Commands answer on stdout, fail in one line with a documented exit code, and start fast."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from quartet_shared import cli, errors
from quartet_shared.cli import DebugOption, JsonOption, QuietOption, SetOption, command, emit, make_app
from quartet_shared.config import FrozenModel, load_config
from quartet_shared.logs import get_logger

Body = Callable[[], None]


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    logger = logging.getLogger("quartet_shared")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:], logger.level = handlers, level


def run(body: Body, *arguments: str):
    app = make_app("quartet-shared", "Test.")

    @command(app, "work", examples=["tool work --set 'a=[1, 2]'", "tool work --json"])
    def work(
        sets: SetOption = None, as_json: JsonOption = False, quiet: QuietOption = False, debug: DebugOption = False
    ) -> None:
        """Do it."""
        body()
        emit({"score": float("nan"), "sets": sets}, as_json, "score undefined")

    return CliRunner().invoke(app, [*arguments] or ["work"])


def raises(error: BaseException) -> Body:
    def body() -> None:
        raise error

    return body


def nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("QuartetError", 1),
        ("ConfigError", 2),
        ("DataError", 3),
        ("CheckpointError", 4),
        ("ResourceError", 5),
        ("NumericsError", 6),
    ],
)
def test_an_expected_error_is_one_line_and_its_exit_code(name: str, code: int) -> None:
    result = run(raises(getattr(errors, name)("expected 3,\n got 4")))
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "error: expected 3, got 4\n")


def test_memory_and_disk_are_resource_errors() -> None:
    assert run(raises(MemoryError())).exit_code == 5
    result = run(raises(OSError(28, "No space left on device", "/data/DOE^JANE/x.bin")))
    assert result.exit_code == 5
    assert result.stderr.startswith("error: cannot use 'x.bin': no space is left")
    assert "DOE" not in result.stderr


def test_an_interrupt_exits_as_shells_expect() -> None:
    result = run(raises(KeyboardInterrupt()))
    assert (result.exit_code, result.stderr) == (130, "error: interrupted\n")


def test_an_exit_code_chosen_by_the_command_stays() -> None:
    assert run(raises(SystemExit(143))).exit_code == 143
    assert run(raises(typer.Exit(1))).exit_code == 1


def test_a_bug_is_one_line_without_the_text_of_the_exception() -> None:
    result = run(raises(KeyError("PatientName DOE^JANE")))
    assert result.exit_code == 70
    assert result.stderr.startswith("error: unexpected KeyError in test_cli.py, line ")
    assert result.stderr.count("\n") == 1
    assert "DOE" not in result.stderr


def test_debug_adds_the_trace_and_keeps_the_exit_code() -> None:
    result = run(raises(errors.DataError("bad")), "work", "--debug")
    assert result.exit_code == 3
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("error: bad\n")


def test_a_closed_pipe_is_no_traceback() -> None:
    script = (
        "import os, sys; from quartet_shared.cli import *\n"
        "app = make_app('quartet-shared', 'x')\n"
        "@command(app, 'work')\n"
        "def work() -> None: os.read(0, 1); emit({}, False, 'x')\n"
        "app(['work'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()  # the reader leaves before the command has written
    process.stdin.write(b"g")
    process.stdin.close()
    assert (process.stderr.read(), process.wait()) == (b"", 141)
    process.stderr.close()


class Settings(FrozenModel):
    lr: float = 0.1


@pytest.mark.parametrize("text", ["lrr=1", "lr=fast", "__class__.x=1"])
def test_a_wrong_set_exits_with_two(text: str) -> None:
    result = run(lambda: load_config(Settings, sets=[text]))
    assert result.exit_code == 2
    assert result.stderr.startswith("error: config: ")
    assert result.stderr.count("\n") == 1


def test_an_unknown_flag_exits_with_two() -> None:
    result = run(nothing, "work", "--nope")
    assert result.exit_code == 2
    assert "--nope" in result.stderr


def test_text_is_for_people_and_json_is_one_document() -> None:
    assert run(nothing).stdout == "score undefined\n"
    result = run(nothing, "work", "--json", "--set", "a=1", "--set", "b=2")
    assert json.loads(result.stdout) == {"score": None, "sets": ["a=1", "b=2"]}
    assert result.stderr == ""


def test_other_ranks_print_no_result(monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert run(nothing).stdout == ""


def test_logs_go_to_stderr_and_quiet_silences_them() -> None:
    def body() -> None:
        get_logger("quartet_shared.x").info("reading")

    assert run(body).stderr == "reading\n"
    assert run(body).stdout == "score undefined\n"
    assert run(body, "work", "--quiet").stderr == ""


def test_help_ends_with_the_examples(monkeypatch) -> None:
    result = run(nothing, "work", "--help")
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    assert lines[-3:] == ["Examples", "tool work --set 'a=[1, 2]'", "tool work --json"]


def test_a_bare_command_shows_help_and_the_version_is_the_distributions() -> None:
    assert "Do it." in run(nothing, "--help").stdout
    assert run(nothing, "--version").stdout == "quartet-shared 0.1.0\n"


def test_the_common_flags_are_these_and_no_others() -> None:
    app = make_app("quartet-shared", "Test.")
    shared = {name: kind for name, kind in vars(cli).items() if name.endswith("Option")}

    def every() -> None:
        pass

    every.__signature__ = Signature(
        [Parameter(n, Parameter.KEYWORD_ONLY, annotation=k) for n, k in shared.items()]
    )
    app.command("every")(every)
    flags = [flag for parameter in typer.main.get_command(app).commands["every"].params for flag in parameter.opts]
    assert sorted(flags) == sorted(
        [
            "--config",
            "--set",
            "--run-dir",
            "--device",
            "--seed",
            "--resume",
            "--json",
            "--quiet",
            "--debug",
            "--version",
        ]
    )


def test_a_command_stays_callable_from_python() -> None:
    app = make_app("quartet-shared", "Test.")

    @command(app, "double")
    def double(number: int) -> int:
        return 2 * number

    assert double(4) == 8


@pytest.mark.parametrize(
    "module", ["cli", "config", "logs", "runs", "files", "errors", "environment", "report.html"]
)
def test_the_floor_imports_nothing_heavy(module: str) -> None:
    script = (
        f"import sys, quartet_shared.{module}\n"
        "heavy = {'torch', 'numpy', 'monai', 'transformers', 'diffusers', 'accelerate', 'matplotlib', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_identifiers_in_paths_and_values_reach_no_message(tmp_path: Path) -> None:
    from quartet_shared.runs import RunDir

    secret = tmp_path / "DOE^JANE 1970-01-01"
    secret.mkdir()
    (secret / "run").write_text("")

    def decode() -> None:
        raise ValueError(f"cannot decode {secret}")

    for body in (
        lambda: RunDir.open(secret / "run", config_toml=""),
        lambda: load_config(Settings, secret / "none.toml"),
        lambda: (secret / "missing.bin").read_bytes(),
        decode,
    ):
        result = run(body)
        assert result.exit_code in (2, 5, 70)
        assert "DOE" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["work", "--bogus"], "No such option: --bogus; see .* work --help"),
        (["work", "--set"], "Option '--set' requires an argument; see .*--help"),
        (["play"], "No such command 'play'; see .* --help"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_two(arguments: list[str], message: str) -> None:
    result = run(nothing, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(f"error: {message}\n", result.stderr)


def test_asking_for_nothing_shows_the_help() -> None:
    app = make_app("quartet-shared", "Test.")
    command(app, "work")(nothing)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert "work" in result.stdout
    assert result.stderr == ""
