"""Whole data sets -> feature vectors, a batch at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ._shared.errors import DataError
from ._shared.files import atomic_write, require_writable_dir
from ._shared.logs import progress
from .data.pairs import Pair, PairDataset
from .encoders import Encoder, pair_tensor
from .sentences import split_sentences


def embed_films(encoder: Encoder, pairs: Sequence[Pair], *, batch_size: int = 32, quiet: bool = True) -> Tensor:
    """Unit vectors (n, D) of films, on the CPU. A film that cannot be read is an error: metrics count every sample.

    Raises:
        DataError: a film cannot be read, or there is none.
    """
    _require_some(pairs)
    rows = []
    with progress(len(pairs), "encoding films", quiet=quiet) as bar:
        for start in range(0, len(pairs), batch_size):
            films = [pair_tensor(pair, encoder)[0] for pair in pairs[start : start + batch_size]]
            rows.append(encoder.encode_image(torch.stack(films).to(encoder.device)).pooled.cpu())
            bar.update(len(films))
    return torch.cat(rows)


def embed_texts(encoder: Encoder, texts: Sequence[str], *, batch_size: int = 64, quiet: bool = True) -> Tensor:
    """Unit vectors (n, D) of texts, on the CPU; equal texts are encoded once.

    Raises:
        DataError: a text without a sentence, or there is none.
    """
    _require_some(texts)
    unique = list(dict.fromkeys(texts))
    rows = []
    with progress(len(unique), "encoding texts", quiet=quiet) as bar:
        for start in range(0, len(unique), batch_size):
            batch = unique[start : start + batch_size]
            rows.append(encoder.encode_text(batch).pooled.cpu())
            bar.update(len(batch))
    place = {text: i for i, text in enumerate(unique)}
    return torch.cat(rows)[[place[text] for text in texts]]


def write_embeddings(
    encoder: Encoder, dataset: PairDataset, out: Path, *, batch_size: int = 32, quiet: bool = True
) -> dict[str, int]:
    """Write `embeddings.safetensors` (images, and reports where there are any) and `rows.csv`.

    `rows.csv` tells which row is which sample (sample_id, split, whether it has a report); rows of `reports` belong to
    the samples whose report has a sentence, in their order.

    Returns:
        Numbers of images, reports and dimensions.

    Raises:
        DataError: a film cannot be read.
        ResourceError: the folder cannot be written.
    """
    require_writable_dir(out)
    tensors = {"images": embed_films(encoder, dataset.pairs, batch_size=batch_size, quiet=quiet)}
    spoken = [bool(split_sentences(pair.report)) for pair in dataset]
    texts = [pair.report for pair, has_words in zip(dataset, spoken, strict=True) if has_words]
    if texts:
        tensors["reports"] = embed_texts(encoder, texts, batch_size=batch_size, quiet=quiet)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["row", "sample_id", "split", "has_report"])
    for row, pair in enumerate(dataset):
        writer.writerow([row, pair.sample_id, pair.split, int(spoken[row])])
    atomic_write(out / "embeddings.safetensors", save(tensors))
    atomic_write(out / "rows.csv", stream.getvalue())
    return {"images": len(dataset), "reports": len(texts), "dim": tensors["images"].shape[1]}


def _require_some(items: Sequence[object]) -> None:
    if not items:
        raise DataError("no sample to encode; check the side and the excluded samples with `cmcgns doctor`")
