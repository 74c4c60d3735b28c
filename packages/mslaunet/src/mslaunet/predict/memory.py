"""Peak memory of a prediction: estimated before it starts, measured when it is done."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from .._shared.errors import ResourceError

_FLOAT = 4  # bytes
_SLAB_BYTES = 1e9  # what a slab may take where nobody set a limit
_MAX_BATCH = 8


def slice_bytes(
    model: nn.Module, planes: tuple[int, int, int], native: tuple[int, int], classes: int, members: int
) -> int:
    """Bytes that one slice takes at most while it passes: network, logits, probabilities and their sums.

    Args:
        model: the network; of an MSLAU-Net the widest map (head, half resolution) is counted three times, which
            was measured to cover its convolutions; of another network 1 KB per pixel is assumed.
        planes: (channels, height, width) of the input on the network's grid.
        native: (height, width) of the result.
        classes: K.
        members: models x views.
    """
    channels, height, width = planes
    config = getattr(model, "config", None)
    width_of_head = 4 * config["decoder_channels"] if isinstance(config, dict) else 256
    network = height * width * (channels + width_of_head // 4 * 3) * _FLOAT
    scores = classes * _FLOAT * (2 * height * width + (3 if members > 1 else 2) * native[0] * native[1])
    return network + scores


def choose_batch(asked: int | None, per_slice: int, depth: int, fixed: int, limit_gb: float | None) -> int:
    """Slices per pass: as asked, or as many (up to 8) as fit.

    Raises:
        ResourceError: not even one slice fits into the limit, or into the machine's memory.
    """
    room = _SLAB_BYTES if limit_gb is None else limit_gb * 1e9 - fixed
    limit = limit_gb or total_memory() / 1e9
    if fixed + per_slice > limit * 1e9:
        raise ResourceError(
            f"one slice needs about {(fixed + per_slice) / 1e9:.1f} GB in all, the limit is {limit:.1f} GB: use a "
            "sliding window, fewer classes, or a machine with more memory"
        )
    wanted = asked or max(1, min(_MAX_BATCH, int(room // per_slice)))
    return min(wanted, depth)


def case_bytes(image: Sequence[int], maps: int, *, whole: bool) -> int:
    """Bytes that a case takes beside what is loaded: labels, maps, and normalised intensities if not by slab."""
    channels, depth, height, width = image
    voxels = depth * height * width
    return voxels * 2 + voxels * _FLOAT * (maps + (3 * channels if whole else 0))


def resident_bytes() -> int:
    """Memory that this process holds now."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # no Linux
        return peak_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss begins with the peak of the process that started this one
        lines = status.read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def total_memory() -> int:
    """Memory of the machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
