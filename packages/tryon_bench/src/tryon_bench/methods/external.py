"""A program of the user as a method: called once per pair, without a shell."""

from __future__ import annotations

import shlex
import string
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._shared.errors import ConfigError, DataError
from .._shared.io.images import read_image, write_png
from .catalogue import get_method
from .interface import Conditions, Image, Method


@dataclass(frozen=True)
class CommandMethod:
    """Calls a command line in which fields in braces are replaced.

    Attributes:
        command: such as "python infer.py --person {person} --cloth {garment} --out {out}". Fields: person, out and
            garment (PNG files; the last may be left out), seed, pair_id, category, and the roles parse, garment_mask,
            agnostic_mask, agnostic, densepose, keypoints where the data set has them.
        id: "command".
        note: none.
        timeout_s: seconds until a call is given up.
    """

    command: str
    id: str = "command"
    note: str = ""
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(self.command) if name is not None}
            words = shlex.split(self.command)
        except ValueError as err:
            raise ConfigError(f"--command: {err}; quote it as in a shell, braces only around fields") from err
        if not words or not {"person", "out"} <= fields:
            raise ConfigError("--command: expected at least the fields {person} and {out} in the command line")

    @property
    def version(self) -> str:
        """The command line itself."""
        return self.command

    def __call__(self, person: Image, garment: Image, conditions: Conditions) -> Image:
        """Write both pictures, call the program, read what it made.

        Raises:
            ConfigError: the program is not there, or a field that the data set does not have.
            DataError: it fails, takes too long, or leaves no image of the person's size.
        """
        with tempfile.TemporaryDirectory() as folder:
            values = self._values(Path(folder), person, garment, conditions)
            self._call([word.format(**values) for word in shlex.split(self.command)], conditions)
            out = Path(values["out"])
            if not out.is_file():
                raise DataError(f"{conditions.pair_id}: the command left no {{out}} file; it must write that PNG")
            result = read_image(out, alpha="drop", name=f"result for {conditions.pair_id}").array
        if result.shape != person.shape or result.dtype != np.uint8:
            raise DataError(
                f"{conditions.pair_id}: the command made an image of {result.shape} {result.dtype}, expected that of "
                f"the person, {person.shape} uint8"
            )
        return result

    def _values(self, folder: Path, person: Image, garment: Image, conditions: Conditions) -> dict[str, str]:
        write_png(folder / "person.png", person)
        write_png(folder / "garment.png", garment)
        values = {role: str(path) for role, path in conditions.files.items()}
        values |= {name: str(folder / f"{name}.png") for name in ("person", "garment", "out")}
        values |= {name: str(getattr(conditions, name)) for name in ("seed", "pair_id", "category")}
        asked = {name for _, name, _, _ in string.Formatter().parse(self.command) if name is not None}
        if asked - values.keys():
            raise ConfigError(
                f"--command: no {sorted(asked - values.keys())[0]} for {conditions.pair_id}; fields here: "
                f"{', '.join(sorted(values))}"
            )
        return values

    def _call(self, words: list[str], conditions: Conditions) -> None:
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=self.timeout_s)
        except FileNotFoundError as err:
            raise ConfigError(f"--command: no program {words[0]!r}; check the path") from err
        except (PermissionError, OSError) as err:
            raise ConfigError(f"--command: {words[0]!r} cannot be started ({err.strerror})") from err
        except subprocess.TimeoutExpired as err:
            raise DataError(f"{conditions.pair_id}: the command took more than {self.timeout_s:g} s") from err
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            said = f": {lines[-1][:200]}" if lines else ""
            raise DataError(f"{conditions.pair_id}: the command ended with exit code {done.returncode}{said}")


def chosen_method(method_id: str, command: str | None) -> Method:
    """The method of that id, or the user's command.

    Raises:
        ConfigError: unknown, or a command line for a method that takes none, or none for "command".
    """
    if (method_id == "command") != (command is not None):
        raise ConfigError("--command goes with the method `command`, and the method `command` with --command")
    return get_method(method_id) if command is None else CommandMethod(command)
