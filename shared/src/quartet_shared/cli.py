"""Plumbing of the commands: the common flags, errors as exit codes, results on stdout."""

from __future__ import annotations

import atexit
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import typer.core

from .errors import QuartetError, ResourceError
from .files import os_error
from .logs import is_main_process, setup_logging
from .strict_json import to_json

# An empty metavar: Typer would print `<bool>` after a switch, as if it took a value.
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings as TOML.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as train.lr=1e-3; repeatable."),
]
RunDirOption = Annotated[Path, typer.Option("--run-dir", metavar="DIR", help="Where everything is written.")]
DeviceOption = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="INT", min=0, help="Seed of every random number.")
]
ResumeOption = Annotated[bool, typer.Option("--resume", metavar="", help="Continue what was interrupted there.")]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print the result as one JSON document.")]
QuietOption = Annotated[bool, typer.Option("--quiet", metavar="", help="No progress, warnings only.")]
DebugOption = Annotated[bool, typer.Option("--debug", metavar="", help="Detailed log; the trace of an error.")]


def _show_version(context: typer.Context, asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # slow to import, and `--help` needs none of it

        name = context.command.name or ""
        typer.echo(f"{name} {version(name)}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Print the version.")
]

EXIT_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

F = TypeVar("F", bound=Callable[..., Any])


_UsageError: Any = typer.BadParameter.__bases__[0]  # typer carries its own copy of click and exports no more


class _OneLineGroup(typer.core.TyperGroup):
    """Reports a wrong flag or a missing argument like any other failure: in one line, exit code 2."""

    def main(  # the signature of click
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.Abort:
            code = EXIT_INTERRUPTED
        except SystemExit as stop:  # a signal that the training loop has answered
            code = stop.code
        except _UsageError as err:
            if type(err).__name__ != "NoArgsIsHelpError":  # which has shown the help already
                message = " ".join(err.format_message().split()).rstrip(".")
                typer.echo(
                    f"error: {message}; see {err.ctx.command_path if err.ctx else self.name} --help", err=True
                )
            code = err.exit_code
        return leave(code if isinstance(code, int) else 0)


def leave(code: int) -> NoReturn:
    """End the process with an exit code.

    One of several processes skips the interpreter's teardown: in it, gloo's threads abort about one process in twenty
    ("terminate called without an active exception", seen with torch 2.14), and torchrun would call a finished run
    failed.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def make_app(name: str, help: str) -> typer.Typer:  # noqa: A002
    """A Typer application with `--version`, shell completion and help instead of an error where nothing is asked.

    Args:
        name: the distribution's name, which is the command's.
        help: one sentence, rich markup allowed.
    """
    app = typer.Typer(
        name=name,
        cls=_OneLineGroup,
        help=help,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def options(version: VersionOption = False) -> None:
        pass  # the option's own callback has done it; having this one keeps an app of one command a group

    return app


def command(app: typer.Typer, name: str, *, examples: Sequence[str] = ()) -> Callable[[F], F]:
    """Register a function as a command whose failures end in one line and an exit code.

    Its parameters `quiet` and `debug`, where it has them, set up the log.

    Args:
        app: the application.
        name: the command.
        examples: complete command lines, printed at the end of `--help`.

    Returns:
        A decorator that returns the function as it was, for use from Python.
    """
    shown = [f"  {example}".replace("[", r"\[") for example in examples]

    def register(function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            debug = kwargs.get("debug", False)
            setup_logging(quiet=kwargs.get("quiet", False), debug=debug)
            with exit_codes(debug=debug):
                return function(*args, **kwargs)

        # Typer joins lines, but keeps paragraphs.
        app.command(name, epilog="\n\n".join(["[bold]Examples[/bold]", *shown]) if shown else None)(run)
        return function

    return register


@contextmanager
def exit_codes(*, debug: bool = False) -> Iterator[None]:
    """Turn exceptions into one line on stderr and an exit code; with `debug` the trace comes first.

    Raises:
        typer.Exit: 2 to 6 for the errors of `errors`, 5 also for memory and operating system, 130 for an
            interrupt, 141 where the reader of stdout has gone, 70 for a bug.
    """
    try:
        yield
    except BrokenPipeError:
        # Python flushes stdout once more at exit, which would fail again and be reported.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_BROKEN_PIPE) from None
    except (Exception, KeyboardInterrupt) as err:
        if isinstance(err, typer.Exit | typer.Abort | typer.BadParameter):
            raise
        if debug:
            traceback.print_exc()
        message, code = _verdict(err)
        typer.echo(f"error: {message}", err=True)
        raise typer.Exit(code) from None


def emit(result: Mapping[str, Any], as_json: bool, text: str) -> None:
    """Print the result of a command on stdout, by rank 0 only.

    Args:
        result: the machine's form; NaN becomes null.
        as_json: print `result` as exactly one JSON document, otherwise `text`.
        text: the human's form.
    """
    if is_main_process():
        typer.echo(to_json(result, indent=2) if as_json else text)


def _verdict(err: BaseException) -> tuple[str, int]:
    """Message and exit code of an exception."""
    if isinstance(err, KeyboardInterrupt):
        return "interrupted", EXIT_INTERRUPTED
    if isinstance(err, MemoryError):
        return "out of memory; use smaller batches, fewer workers or a larger machine", ResourceError.exit_code
    if isinstance(err, OSError) and err.errno is not None and isinstance(err.filename, str):
        err = os_error(err, Path(err.filename))
    if isinstance(err, QuartetError):
        return " ".join(str(err).split()), err.exit_code
    # Without the text of the exception: a foreign message may hold a path or a header with a patient's name.
    place = traceback.extract_tb(err.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return f"unexpected {type(err).__name__} in {where}: a bug, --debug shows the trace", EXIT_UNEXPECTED
