"""What has been made from what: one JSON line per item, so that an interrupted or repeated call makes the rest."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .._shared.config import FrozenModel
from .._shared.errors import ConfigError
from .._shared.files import atomic_write, os_error
from .._shared.strict_json import to_json

_LOCK = ".prepare.lock"
# While estimates were off none has been made: they may be switched on later, by any model.
_SWITCH, _SWITCHED = "estimate", ("estimate", "pose_model")


class Record(FrozenModel):
    """One prepared photo or garment.

    Attributes:
        kind: photo or garment.
        stem: its name.
        inputs: role -> SHA-256 of the file.
        outputs: names relative to the split's folder.
        recipe: of the agnostic person; "" for garments.
        estimated: what MediaPipe gave.
        shows_top: whether the parse has an upper garment where the torso is.
    """

    kind: str
    stem: str
    inputs: dict[str, str]
    outputs: tuple[str, ...]
    recipe: str = ""
    estimated: tuple[str, ...] = ()
    shows_top: bool = True

    @property
    def has_parse(self) -> bool:
        """Whether the photo came with a parse."""
        return "parse" in self.inputs

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name."""
        return self.kind, self.stem


class Journal:
    """The records of one folder; the last line of an item counts, a torn one at the end does not.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.records: dict[tuple[str, str], Record] = {}
        for line in _lines(path):
            try:
                record = Record.model_validate_json(line)
            except ValidationError:  # torn by a kill: its item is made again
                continue
            self.records[record.key] = record

    def add(self, record: Record) -> None:
        """Write one record to the disk.

        Raises:
            ResourceError: the disk is full.
        """
        self.records[record.key] = record
        try:
            with self._path.open("ab") as file:
                # a newline in front closes a line that a kill has torn
                file.write(f"\n{to_json(record.model_dump())}".encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as err:
            raise os_error(err, self._path) from err

    def replace(self, record: Record, folder: Path) -> None:
        """Write the record of an item that was made again, and remove the files that it has no more.

        Raises:
            ResourceError: the disk is full.
        """
        old = self.records.get(record.key)
        for name in set(() if old is None else old.outputs) - set(record.outputs):
            (folder / name).unlink(missing_ok=True)
        self.add(record)

    def forget(self, key: tuple[str, str], folder: Path) -> None:
        """Remove the files of an item that cannot be made any more, or is gone from the source."""
        record = self.records.pop(key, None)
        for name in () if record is None else record.outputs:
            (folder / name).unlink(missing_ok=True)

    def compact(self) -> None:
        """Rewrite the file: one line per item, in the order of names."""
        rows = [to_json(self.records[key].model_dump()) for key in sorted(self.records)]
        atomic_write(self._path, "".join(f"{row}\n" for row in rows))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the system frees it when the process dies.

    Raises:
        ConfigError: another process holds it.
    """
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise ConfigError(f"{folder.name}: another process prepares it; wait for it") from err
        yield


def claim(path: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Write the settings of a split, or see to it that they are the same, but for estimates switched on later.

    Args:
        path: `<name>_<split>.json` in the results' folder.
        settings: what is written, under the key `settings`.
        resume: whether they may be there.

    Raises:
        ConfigError: the folder holds something else than other splits, the same without `resume`, or other settings.
    """
    folder = path.parent
    if not path.exists():
        others = [path for path in folder.iterdir() if path.name != _LOCK]
        if others and not any(folder.glob(f"{path.stem.partition('_')[0]}_*{path.suffix}")):
            raise ConfigError(f"{folder.name}: not empty, and no {path.name} in it; choose another folder")
        atomic_write(path, to_json(settings, indent=2) + "\n")
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise ConfigError(f"{folder.name}/{path.name}: damaged; choose another folder") from err
    free = _SWITCHED if known.get(_SWITCH) is False else ()
    for key, value in settings["settings"].items():
        if key not in free and known.get(key) != value:
            raise ConfigError(
                f"{folder.name}: prepared with {key} {known.get(key)!r}, now {value!r}; choose another folder"
            )
    if not resume:
        raise ConfigError(f"{folder.name}: was begun already; go on with --resume or choose another folder")
    if known != settings["settings"]:
        atomic_write(path, to_json(settings, indent=2) + "\n")


def _lines(path: Path) -> list[bytes]:
    try:
        return [line for line in path.read_bytes().splitlines() if line.strip()]
    except FileNotFoundError:
        return []
    except OSError as err:
        raise os_error(err, path) from err
