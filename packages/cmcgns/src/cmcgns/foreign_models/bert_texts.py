"""Reports for a foreign BERT: its tokenizer's ids, with the sentence of each token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .._shared.errors import CheckpointError
from ..layers import sentence_means
from ..ragged import Ragged
from ..tokens import Pretrained, Tokens, tokenize

MAX_TOKENS = 256


class BertTexts:
    """The tokenizer in a folder.

    Raises:
        CheckpointError: it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import BertTokenizer

        try:
            self.pieces = Pretrained(BertTokenizer.from_pretrained(str(folder)))
        except (OSError, ValueError, TypeError) as err:
            raise CheckpointError(f"{folder.name}: its tokenizer cannot be read ({type(err).__name__})") from err

    def tokens(self, reports: Sequence[str], device: torch.device) -> Tokens:
        """Ids, mask and sentence numbers on a device."""
        return Tokens(*(part.to(device) for part in tokenize(list(reports), self.pieces, max_tokens=MAX_TOKENS)))

    def sentences(self, words: Tensor, tokens: Tokens) -> Ragged:
        """Unit mean of the token vectors (B, L, D) of each sentence."""
        rows = sentence_means(words, tokens.sentence_ids)
        return rows._replace(values=F.normalize(rows.values, dim=-1))
