"""Sentences -> token ids with the sentence of every token."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ._shared.errors import CheckpointError, DataError
from .sentences import split_sentences, split_sentences_official

PAD, START, END, FIRST_WORD = 0, 1, 2, 3
NO_SENTENCE = -1
SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "sentences": split_sentences,
    "official": split_sentences_official,
}


class Tokens(NamedTuple):
    """Reports as the text tower takes them.

    Attributes:
        input_ids: (B, L) int64.
        attention_mask: (B, L) int64, 0 at padding.
        sentence_ids: (B, L) int64, sentence of each token inside its report, -1 for special tokens and padding.
    """

    input_ids: Tensor
    attention_mask: Tensor
    sentence_ids: Tensor

    def counts(self) -> Tensor:
        """(B,) int64, sentences of each report."""
        return self.sentence_ids.amax(1) + 1


class WordPieces(Protocol):
    """What cuts a sentence into ids."""

    pad_id: int
    start_id: int
    end_id: int

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Ids of each sentence, without special ones."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What `word_pieces` rebuilds it from."""
        ...


class HashedWords:
    """Lower-case words, each hashed to one of `size` ids (CRC-32): no vocabulary file, for small models on CPUs."""

    pad_id, start_id, end_id = PAD, START, END

    def __init__(self, size: int = 4096) -> None:
        self.size = size

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Ids of each sentence, without special ones."""
        span = self.size - FIRST_WORD
        words = (re.findall(r"\w+", sentence.lower()) for sentence in sentences)
        return [[FIRST_WORD + zlib.crc32(word.encode()) % span for word in sentence] for sentence in words]

    def to_json(self) -> dict[str, Any]:
        """What `word_pieces` rebuilds it from."""
        return {"kind": "hashed", "size": self.size}


class Pretrained:
    """The tokenizer that belongs to a pretrained text model."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.pad_id = int(tokenizer.pad_token_id or 0)
        self.start_id, self.end_id = (
            int(first if first is not None else second)
            for first, second in (
                (tokenizer.cls_token_id, tokenizer.bos_token_id),
                (tokenizer.sep_token_id, tokenizer.eos_token_id),
            )
        )

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Ids of each sentence, without special ones."""
        if not sentences:
            return []
        encoded = self._tokenizer(list(sentences), add_special_tokens=False, verbose=False)
        return [list(ids) for ids in encoded["input_ids"]]

    def to_json(self) -> dict[str, Any]:
        """What `word_pieces` rebuilds it from."""
        special = {"pad_id": self.pad_id, "start_id": self.start_id, "end_id": self.end_id}
        return {"kind": "pretrained", "tokenizer": self._tokenizer.backend_tokenizer.to_str(), **special}


class Stored:
    """A tokenizer from the text that `Pretrained.to_json` keeps beside the weights."""

    def __init__(self, stored: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        self._stored = stored
        self._tokenizer = Tokenizer.from_str(stored["tokenizer"])
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.pad_id, self.start_id, self.end_id = (stored[key] for key in ("pad_id", "start_id", "end_id"))

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Ids of each sentence, without special ones."""
        return [item.ids for item in self._tokenizer.encode_batch(list(sentences), add_special_tokens=False)]

    def to_json(self) -> dict[str, Any]:
        """What `word_pieces` rebuilds it from."""
        return self._stored


def word_pieces(stored: dict[str, Any]) -> WordPieces:
    """Rebuild a tokenizer from the JSON that is stored beside the weights.

    Raises:
        CheckpointError: it is no such JSON.
    """
    try:
        return HashedWords(stored["size"]) if stored["kind"] == "hashed" else Stored(stored)
    except KeyError as err:
        raise CheckpointError(f"config.json: text.tokenizer lacks {err.args[0]!r}; save the model again") from err
    except Exception as err:  # tokenizers raises the bare class
        if type(err) is not Exception:
            raise
        raise CheckpointError("config.json: text.tokenizer is no tokenizer; save the model again") from err


def tokenize(
    reports: Sequence[str], pieces: WordPieces, *, max_tokens: int = 256, splitter: str = "sentences"
) -> Tokens:
    """Cut reports into sentences and these into tokens; special tokens belong to no sentence.

    A report beyond `max_tokens` loses its end; the end token keeps its place and joins no sentence.

    Args:
        reports: B texts.
        pieces: the tokenizer.
        max_tokens: largest length L, special tokens included.
        splitter: a key of `SPLITTERS`.

    Raises:
        DataError: a report without a sentence; the message gives its number, not its text.

    Example:
        >>> tokenize(["No effusion. Heart normal."], HashedWords()).sentence_ids.tolist()
        [[-1, 0, 0, 1, 1, -1]]
    """
    rows = [_row(i, SPLITTERS[splitter](text), pieces, max_tokens) for i, text in enumerate(reports)]
    length = max((len(ids) for ids, _ in rows), default=0)
    ids = [ids + [pieces.pad_id] * (length - len(ids)) for ids, _ in rows]
    owners = [owner + [NO_SENTENCE] * (length - len(owner)) for _, owner in rows]
    mask = [[1] * len(row) + [0] * (length - len(row)) for row, _ in rows]
    shape = (len(rows), length)
    return Tokens(*(torch.tensor(table, dtype=torch.int64).reshape(shape) for table in (ids, mask, owners)))


def _row(number: int, sentences: list[str], pieces: WordPieces, max_tokens: int) -> tuple[list[int], list[int]]:
    """Ids and sentence numbers of one report; sentences without a token do not count."""
    encoded = [ids for ids in pieces.encode(sentences) if ids]
    ids = [token for sentence in encoded for token in sentence][: max_tokens - 2]
    owner = [i for i, sentence in enumerate(encoded) for _ in sentence][: max_tokens - 2]
    if not ids:
        raise DataError(f"report {number}: expected at least one sentence with letters, got none; leave it out")
    return [pieces.start_id, *ids, pieces.end_id], [NO_SENTENCE, *owner, NO_SENTENCE]
