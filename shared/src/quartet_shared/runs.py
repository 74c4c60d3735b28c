"""The run directory: what a run was told, on what machine, what it logged and how it ended."""

from __future__ import annotations

import fcntl
import json
import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from .config import flatten, read_toml
from .environment import describe_environment
from .errors import ConfigError, ResourceError
from .files import atomic_write, os_error, require_writable_dir
from .logs import get_logger, is_main_process
from .strict_json import to_json

Status = Literal["running", "finished", "failed", "interrupted"]

log = get_logger(__name__)


class RunDir:
    """A directory that belongs to one run; a context manager that holds its lock.

    Files: `config.toml` (resolved settings), `env.json` (versions, commit, threads), `data.json`, `metrics.jsonl`,
    `checkpoints/`, `STATUS` and `lock`. Under torchrun only rank 0 writes; the methods of other ranks do nothing.
    An exception that leaves the `with` block sets STATUS to failed (interrupted for a signal); leaving it normally
    sets finished, unless `finish` was called.

    Attributes:
        path: the directory.
        resumed: whether it held a run before.
    """

    path: Path
    resumed: bool

    def __init__(self, path: Path) -> None:
        self.path = path
        self.resumed = False
        self._writes = is_main_process()
        self._allow_change = False
        self._status: Status = "running"
        self._lock: int | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        config_toml: str,
        resume: bool = False,
        allow_config_change: bool = False,
        mutable: Collection[str] = (),
    ) -> RunDir:
        """Start a run in a directory, or continue the one that is there.

        Args:
            path: the directory; created with its parents if needed.
            config_toml: resolved settings, see `config.to_toml`.
            resume: continue the run in `path`; starts one where there is none, so that a job that is queued again
                needs no other command. A run that failed before its first step counts as none.
            allow_config_change: continue although settings or data differ from the ones that the run began with.
            mutable: dotted settings that may always change on resume, such as "train.max_minutes".

        Raises:
            ConfigError: the directory holds a run and `resume` is off, or the settings changed.
            ResourceError: it is not a writable directory, or a living process holds it.
        """
        run = cls(path)
        if not run._writes:
            run.resumed = resume
            return run
        require_writable_dir(path)
        run._lock = _acquire_lock(path / "lock")
        try:
            run._allow_change = allow_config_change
            run._begin(config_toml, resume, mutable)
        except BaseException:
            run._release_lock()
            raise
        return run

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go."""
        return self.path / "checkpoints"

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`; a record has a "step". NaN becomes null.

        Raises:
            ResourceError: the disk refuses.
        """
        if not self._writes:
            return
        try:
            with self._metrics.open("a", encoding="utf-8") as stream:
                stream.write(to_json(record) + "\n")
        except OSError as err:
            raise os_error(err, self._metrics) from err

    def truncate_metrics(self, after_step: int) -> None:
        """Drop the records after a step, and a line that a kill cut short.

        Called on resume with the checkpoint's step: the file then goes on as that of a run that was never stopped.

        Raises:
            ResourceError: the disk refuses.
        """
        if not self._writes or not self._metrics.exists():
            return
        lines = self._metrics.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        atomic_write(self._metrics, "".join(line for line in lines if _logged_until(line, after_step)))

    def write_data(self, data: Mapping[str, Any]) -> None:
        """Record what went in (`data.json`): hashes, roles, excluded cases with reasons.

        Raises:
            ConfigError: the run is resumed and began with other data.
            ResourceError: the disk refuses.
        """
        if not self._writes:
            return
        target, text = self.path / "data.json", to_json(data, indent=2)
        if self.resumed and target.exists():
            old, new = json.loads(target.read_text(encoding="utf-8")), json.loads(text)
            changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            if changed:  # keys only: the values name cases
                self._refuse_or_warn(
                    f"the data differ from those that the run began with, in {', '.join(changed)}"
                )
        atomic_write(target, text + "\n")

    def finish(self, status: Status = "finished") -> None:
        """Write STATUS.

        Raises:
            ResourceError: the disk refuses.
        """
        self._status = status
        if not self._writes:
            return
        target, text = self.path / "STATUS", f"{status:<11}\n"
        try:
            # One width and in place: the words fit into what the file already occupies, even on a full disk.
            with target.open("r+b" if target.exists() else "wb") as stream:
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as err:
            raise os_error(err, target) from err

    def __enter__(self) -> RunDir:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and not _is_success(error):
                self.finish("interrupted" if _is_interruption(error) else "failed")
            elif self._status == "running":
                self.finish()
        except ResourceError:
            if error is None:
                raise
            log.warning("STATUS could not be written")  # the first error is the one to report
        finally:
            self._release_lock()

    @property
    def _metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def _begin(self, config_toml: str, resume: bool, mutable: Collection[str]) -> None:
        config, env = self.path / "config.toml", self.path / "env.json"
        environment = describe_environment()
        self.resumed = config.exists() and not self._failed_at_birth()
        if self.resumed:
            if not resume:
                raise ConfigError(
                    f"run directory {self.path.name!r} holds a run already: continue it with --resume, "
                    "or choose another --run-dir"
                )
            self._compare_settings(read_toml(config), tomllib.loads(config_toml), mutable)
            self._compare_versions(env, environment)
        atomic_write(config, config_toml)
        atomic_write(env, to_json(environment, indent=2) + "\n")
        self.checkpoints.mkdir(exist_ok=True)
        self.finish("running")

    def _failed_at_birth(self) -> bool:
        """Whether the run here failed before its first step, so that there is nothing to continue or to lose."""
        status = self.path / "STATUS"
        failed = status.is_file() and status.read_text(encoding="utf-8").strip() == "failed"
        return failed and not self._metrics.exists() and not any(self.checkpoints.glob("*"))

    def _compare_settings(self, old: dict[str, Any], new: dict[str, Any], mutable: Collection[str]) -> None:
        changes = _changes(flatten(old), flatten(new), mutable)
        if changes:
            self._refuse_or_warn(f"the settings differ from those at the run's beginning: {'; '.join(changes)}")

    def _compare_versions(self, env: Path, environment: Mapping[str, Any]) -> None:
        """Warn only: other versions are fine to work with, but the results are no longer bit-equal."""
        if env.exists():
            old = json.loads(env.read_text(encoding="utf-8"))
            changes = _changes(old.get("packages", {}), environment["packages"])
            if changes:
                log.warning(
                    "resumed with other versions, so results may differ in rounding: %s", "; ".join(changes)
                )

    def _refuse_or_warn(self, message: str) -> None:
        if not self._allow_change:
            raise ConfigError(f"{message}; undo the change, choose another --run-dir, or go on with --allow")
        log.warning("%s (allowed)", message)

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.truncate(self._lock, 0)
            os.close(self._lock)  # the file stays: removing it would race with a process that has just opened it
            self._lock = None


def _acquire_lock(path: Path) -> int:
    """Take a lock that the kernel drops when the process dies, so that a stale one needs no repair.

    A record lock (`lockf`), not `flock`: loader workers are forked, would share a `flock`, and outlive a killed
    parent by seconds.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as err:
        raise os_error(err, path) from err
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    except BlockingIOError as err:
        holder = os.read(descriptor, 20).decode(errors="replace") or "unknown"
        os.close(descriptor)
        raise ResourceError(
            f"run directory {path.parent.name!r} is in use by process {holder}: "
            "wait for it, stop it, or choose another --run-dir"
        ) from err
    except OSError as err:
        os.close(descriptor)
        raise os_error(err, path) from err
    return descriptor


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], ignored: Collection[str] = ()) -> list[str]:
    """Phrases such as "train.lr 0.1 -> 0.2" for keys whose values differ."""
    return [
        f"{key} {old.get(key, 'none')} -> {new.get(key, 'none')}"
        for key in sorted(old.keys() | new.keys())
        if key not in ignored and old.get(key) != new.get(key)
    ]


def _logged_until(line: str, step: int) -> bool:
    try:
        return bool(json.loads(line)["step"] <= step)
    except (ValueError, TypeError, KeyError):  # cut short by a kill or a full disk
        return False


def _is_success(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _is_interruption(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code in (130, 143))
