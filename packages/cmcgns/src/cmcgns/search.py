"""Films of a folder by what a sentence says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ._shared.errors import ConfigError, DataError
from ._shared.files import atomic_path
from ._shared.logs import get_logger, progress
from .data.pairs import Pair
from .encoders import Encoder, pair_tensor
from .features import embed_texts
from .sentences import split_sentences

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm", ".dicom")
log = get_logger(__name__)


@dataclass(frozen=True)
class Hit:
    """A film and how near it is: its path below the folder, and the cosine."""

    film: str
    similarity: float


def search(
    encoder: Encoder,
    query: str,
    folder: Path,
    *,
    top: int = 10,
    index: Path | None = None,
    batch_size: int = 32,
    quiet: bool = True,
) -> list[Hit]:
    """Rank the films of a folder, with its subfolders, by their similarity to a text.

    Films that cannot be read are passed over with a warning. With `index`, vectors are kept there: the next query
    encodes only films that are new or changed.

    Args:
        encoder: the model.
        query: a sentence.
        folder: films.
        top: how many to return.
        index: file for the vectors (`.safetensors`).
        batch_size: films per forward pass.
        quiet: no progress.

    Raises:
        DataError: no film, or the query has no letters.
        ConfigError: the index belongs to another model, or is no `.safetensors` file.
    """
    films = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not films:
        raise DataError(f"{folder.name}: no film; expected a folder with files that end in {', '.join(SUFFIXES)}")
    if not split_sentences(query):
        raise DataError("query: no word in it; expected a sentence such as 'right pleural effusion'")
    if index is not None and index.suffix != ".safetensors":
        raise ConfigError(f"--index {index.name}: expected a file that ends in .safetensors")
    text = embed_texts(encoder, [query])[0]
    known = _read_index(index, fingerprint(encoder)) if index else {}
    stamps = {str(p.relative_to(folder)): f"{p.stat().st_size}-{p.stat().st_mtime_ns}" for p in films}
    fresh = [name for name, stamp in stamps.items() if f"{name}\n{stamp}" not in known]
    for name, vector in _encode(encoder, folder, fresh, batch_size, quiet).items():
        known[f"{name}\n{stamps[name]}"] = vector
    if index:
        _write_index(index, fingerprint(encoder), known)
    found = [(name, known[key]) for name, stamp in stamps.items() if (key := f"{name}\n{stamp}") in known]
    if not found:
        raise DataError(f"{folder.name}: none of {len(films)} films can be read")
    scores = (torch.stack([vector for _, vector in found]) @ text).tolist()
    ranked = sorted(zip((name for name, _ in found), scores, strict=True), key=lambda row: (-row[1], row[0]))
    return [Hit(name, score) for name, score in ranked[:top]]


def fingerprint(encoder: Encoder) -> str:
    """What an index belongs to: the vector of a fixed film, rounded."""
    image = torch.linspace(-1, 1, encoder.side_px).expand(1, 1, encoder.side_px, -1).to(encoder.device)
    vector = encoder.encode_image(image).pooled[0]
    return ",".join(f"{value:.3f}" for value in vector[:16].tolist())


def _encode(encoder: Encoder, folder: Path, names: list[str], batch_size: int, quiet: bool) -> dict[str, Tensor]:
    vectors: dict[str, Tensor] = {}
    skipped = 0
    with progress(len(names), "encoding films", quiet=quiet) as bar:
        for start in range(0, len(names), batch_size):
            films: dict[str, Tensor] = {}
            for name in names[start : start + batch_size]:
                try:
                    films[name] = pair_tensor(Pair(folder / name), encoder)[0]
                except DataError:
                    skipped += 1
            if films:
                rows = encoder.encode_image(torch.stack(list(films.values())).to(encoder.device)).pooled.cpu()
                vectors |= dict(zip(films, rows, strict=True))
            bar.update(min(batch_size, len(names) - start))
    if skipped:
        log.warning("%d of %d films cannot be read and were passed over", skipped, len(names))
    return vectors


def _read_index(path: Path, owner: str) -> dict[str, Tensor]:
    if not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            keys, vectors = json.loads(notes["keys"]), file.get_tensor("vectors")
    except (SafetensorError, OSError, KeyError, ValueError) as err:
        raise ConfigError(f"{path.name}: no index of `cmcgns search`; choose another file for --index") from err
    if notes.get("owner") != owner:
        raise ConfigError(f"{path.name}: was made with another model; choose another file for --index")
    return dict(zip(keys, vectors, strict=True))


def _write_index(path: Path, owner: str, known: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        notes = {"owner": owner, "keys": json.dumps(list(known))}
        save_file({"vectors": torch.stack(list(known.values()))} if known else {}, temporary, notes)
