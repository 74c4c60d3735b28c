"""GDCM in a process of its own: on some damaged streams it aborts, which would take a night's work with it.

JPEG-LS, lossless and 12-bit JPEG have no other decoder that every machine has. The process starts with the first such
file, serves all later ones, and is started again after a crash. It ends with its parent, whose end closes its input.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, QuartetError, ResourceError

_TIMEOUT_S = 120.0  # for one image; a film of 64 million pixels takes seconds


class DecoderProcess:
    """Decodes files in a child process, one at a time; usable from several threads and after a fork."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def decode(self, path: Path, max_pixels: int) -> NDArray[Any]:
        """Stored pixel values of a file, as `dicom_file.decode`.

        Raises:
            DataError: damaged, or the decoder crashed or hung on it.
            ResourceError: the process cannot be started.
        """
        with self._lock:
            process = self._running()
            timer = threading.Timer(_TIMEOUT_S, process.kill)
            timer.start()
            try:
                return _ask(process, path, max_pixels)
            except DataError:
                raise
            except (EOFError, OSError, ValueError) as err:
                self.stop()
                raise DataError(
                    f"{path.name}: its compressed pixels are damaged (the decoder crashed on them); export it again"
                ) from err
            except BaseException:  # an interrupt in the middle of an answer
                self.stop()
                raise
            finally:
                timer.cancel()

    def stop(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what was buffered for a dead process
                        pipe.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self.stop()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", __spec__.name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                )
            except OSError as err:
                raise ResourceError(f"the process that decodes DICOM cannot be started ({err.strerror})") from err
            self._owner = os.getpid()
        return self._process


def _ask(process: subprocess.Popen[bytes], path: Path, max_pixels: int) -> NDArray[Any]:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    process.stdin.write(json.dumps([os.fspath(path), max_pixels]).encode() + b"\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise EOFError
    head = json.loads(answer)
    if "error" in head:
        raise DataError(head["error"])
    dtype, shape = np.dtype(head["dtype"]), tuple(head["shape"])
    size = int(np.prod(shape)) * dtype.itemsize
    body = process.stdout.read(size)
    if len(body) != size:
        raise EOFError
    return np.frombuffer(body, dtype).reshape(shape)


DECODER = DecoderProcess()
atexit.register(DECODER.stop)


def serve() -> None:
    """Answer requests on stdin until it closes; what native code prints goes nowhere."""
    from .dicom_file import decode_here, read_dataset

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin.buffer:
        text, max_pixels = json.loads(line)
        path, pixels = Path(text), b""
        try:
            array = np.ascontiguousarray(decode_here(read_dataset(path, max_pixels), path))
            head: dict[str, Any] = {"dtype": array.dtype.str, "shape": array.shape}
            pixels = array.tobytes()
        except QuartetError as err:
            head = {"error": str(err)}
        answers.write(json.dumps(head).encode() + b"\n" + pixels)
        answers.flush()


if __name__ == "__main__":
    serve()
