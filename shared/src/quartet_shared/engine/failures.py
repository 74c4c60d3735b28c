"""The one place where torch's run-time failures become errors that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import ResourceError
from .config import TrainConfig

# torch raises plain RuntimeErrors for these; the phrases are those of torch 2.10 - 2.14.
_MEMORY = ("DefaultCPUAllocator", "out of memory", "not enough memory")
_WORKER = ("DataLoader worker", "DataLoader timed out")
_PEER = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Timed out waiting",
    "Socket Timeout",
)


@contextmanager
def resource_errors(config: TrainConfig) -> Iterator[None]:
    """Translate lack of memory, dead loader workers and dead peers.

    Raises:
        ResourceError: one of these happened; the message names the setting that helps.
    """
    try:
        yield
    except MemoryError as err:
        raise _out_of_memory(config) from err
    except RuntimeError as err:
        text = str(err)
        if isinstance(err, torch.OutOfMemoryError) or any(phrase in text for phrase in _MEMORY):
            raise _out_of_memory(config) from err
        if any(phrase in text for phrase in _WORKER):
            raise ResourceError(
                f"one of workers={config.workers} loader processes died or hung, most likely for lack of memory "
                "or of shared memory (/dev/shm): lower workers, then --resume"
            ) from err
        if isinstance(err, torch.distributed.DistError) or any(phrase in text for phrase in _PEER):
            raise ResourceError(
                "another process of this run died or does not answer: see its own message, then --resume"
            ) from err
        raise


def _out_of_memory(config: TrainConfig) -> ResourceError:
    return ResourceError(
        f"out of memory with batch_size={config.batch_size} in accumulate={config.accumulate} micro-batches: "
        "raise accumulate, which leaves the global batch as it is"
    )
