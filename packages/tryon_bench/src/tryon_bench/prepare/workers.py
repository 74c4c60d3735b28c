"""Items over several processes, none of which outlives this one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from .._shared.errors import ResourceError

Job = TypeVar("Job")
Result = TypeVar("Result")

_WATCH_S = 1.0
_WORTH_IT = 4  # jobs per process; starting one costs about a second


def over_processes(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """Results in the order of the jobs.

    Args:
        work: a function of a module.
        jobs: its arguments; they and the results are pickled.
        workers: processes; few jobs get fewer.

    Raises:
        ResourceError: the system has ended a process.
    """
    processes = min(workers, len(jobs) // _WORTH_IT)
    if processes <= 1:
        yield from map(work, jobs)
        return
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),)
    )
    try:
        yield from pool.map(work, jobs)
    except BrokenProcessPool as err:
        raise ResourceError(
            "a worker was ended by the system, perhaps for its memory; use fewer --workers"
        ) from err
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with(parent: int) -> None:
    """End this process when its parent has been killed: it would wait for jobs for ever. Ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
