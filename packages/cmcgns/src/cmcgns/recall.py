"""Recall at k of paired rows, in which equal captions are equally right."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def recall_hits(queries: Tensor, keys: Tensor, groups: Sequence[int], k: int, *, chunk: int = 1024) -> Tensor:
    """Whether any of the k most similar keys is right, for every query.

    Args:
        queries: (N, D) unit vectors.
        keys: (N, D) unit vectors, row i belongs to query i.
        groups: (N,) number of each pair's caption: equal captions have equal numbers and are all right.
        k: keys looked at; at most N are.
        chunk: queries at a time.

    Returns:
        (N,) bool.

    Example:
        >>> recall_hits(torch.eye(3), torch.eye(3)[[1, 0, 2]], [0, 1, 2], 1).tolist()
        [False, False, True]
    """
    group = torch.as_tensor(list(groups), device=queries.device)
    top = min(k, len(keys))
    found = [
        (group[(part @ keys.T).topk(top, dim=1).indices] == own[:, None]).any(1)
        for part, own in zip(queries.split(chunk), group.split(chunk), strict=True)
    ]
    return torch.cat(found)


def caption_groups(captions: Sequence[str]) -> list[int]:
    """A number for each different caption, letter case and spaces aside.

    Example:
        >>> caption_groups(["No effusion.", "no  effusion.", "Effusion."])
        [0, 0, 1]
    """
    numbers: dict[str, int] = {}
    return [numbers.setdefault(" ".join(caption.lower().split()), len(numbers)) for caption in captions]
