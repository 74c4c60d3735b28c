"""Reports for a foreign BERT: its tokenizer's ids, with the sentence of each token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .._shared.errors import CheckpointError
from ..layers import sentence_means
from ..model import TextFeatures
from ..ragged import Ragged
from ..sentences import split_sentences
from ..tokens import Pretrained, Tokens, tokenize

MAX_TOKENS = 256


_ROBERTA = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>"}


class BertTexts:
    """The tokenizer in a folder.

    Args:
        folder: with vocab.txt or tokenizer.json; a RoBERTa's must be tokenizer.json.
        roberta: it is a RoBERTa's.

    Raises:
        CheckpointError: it cannot be read.
    """

    def __init__(self, folder: Path, *, roberta: bool = False) -> None:
        from transformers import BertTokenizer, PreTrainedTokenizerFast

        try:
            self.pieces = Pretrained(
                PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **_ROBERTA)
                if roberta
                else BertTokenizer.from_pretrained(str(folder))
            )
        except Exception as err:  # tokenizers raises the bare class
            raise CheckpointError(f"{folder.name}: its tokenizer cannot be read ({type(err).__name__})") from err

    def tokens(self, reports: Sequence[str], device: torch.device) -> Tokens:
        """Ids, mask and sentence numbers on a device."""
        return Tokens(*(part.to(device) for part in tokenize(list(reports), self.pieces, max_tokens=MAX_TOKENS)))

    def sentences(self, words: Tensor, tokens: Tokens) -> Ragged:
        """Unit mean of the token vectors (B, L, D) of each sentence."""
        rows = sentence_means(words, tokens.sentence_ids)
        return rows._replace(values=F.normalize(rows.values, dim=-1))

    def each_alone(
        self, reports: Sequence[str], whole: Callable[[Tensor, Tensor], Tensor], device: torch.device
    ) -> TextFeatures:
        """Reports by a network that has one vector per text: every sentence is encoded as a text of its own.

        Args:
            reports: B texts.
            whole: ids and mask (B, L) -> unit vectors (B, D).
            device: of the network.
        """
        sentences = [split_sentences(report) or [report] for report in reports]
        pooled, rows = (
            whole(*self.tokens(texts, device)[:2])
            for texts in (reports, [s for group in sentences for s in group])
        )
        return TextFeatures(pooled, Ragged(rows, torch.tensor([len(group) for group in sentences], device=device)))
