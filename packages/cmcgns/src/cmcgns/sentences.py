"""Report -> sentences, as a reader would cut them; and as the official code does."""

from __future__ import annotations

import re

# A full stop after one of these ends no sentence. English and Spanish, as found in chest reports.
_ABBREVIATION = re.compile(
    r"drs?|dra|mrs?|ms|sra?|st|vs|aprox|approx|cf|e\.?g|i\.?e|etc|ca|figs?|resp|incl|excl|sag|ax|lat|inf|sup|ant|"
    r"post|pte?|bilat|(p\.)?ej|dx|hx"
)
_CLOCK = re.compile(r"\b[ap]\.m$", re.IGNORECASE)
_BOUNDARY = re.compile(r"(?<=[.!?])[)\]\"']*\s+")
_ITEM = re.compile(r"(?:\(?\d{1,2}[.)]|[-*•])$")
_NEW_ITEM = re.compile(r"\n\s*(?=(?:\(?\d{1,2}[.)](?!\d)|[-*•])\s*\S)|\n\s*\n")


def split_sentences(report: str) -> list[str]:
    """Cut a report into sentences; decimals, list numbers, clock times and abbreviations do not end one.

    Blank lines and list items begin a new sentence; other line breaks are wrapped text. Runs of underscores, which
    stand for removed identifiers, are dropped, and so is what holds no letter. Our choice, see PARITY.md.

    Args:
        report: any text.

    Returns:
        Sentences in order, with their numbers, case and punctuation; empty for a text without letters.

    Example:
        >>> split_sentences("1. No effusion. 2. Stable 2.5 cm nodule. Discussed at 3 p.m. on ___.")
        ['1. No effusion.', '2. Stable 2.5 cm nodule.', 'Discussed at 3 p.m. on .']
    """
    text = re.sub(r"_{2,}", " ", report.replace("\r\n", "\n").replace("\r", "\n"))
    found = [sentence for block in _NEW_ITEM.split(text) for sentence in _cut(" ".join(block.split()))]
    return [sentence for sentence in found if re.search(r"[^\W\d_]", sentence)]


def _cut(block: str) -> list[str]:
    """Sentences of one block without line breaks."""
    sentences, start = [], 0
    for match in _BOUNDARY.finditer(block):
        if _ends(block[start : match.start()], block[match.end() :]):
            sentences.append(block[start : match.end()].strip())
            start = match.end()
    return [*sentences, block[start:].strip()]


def _ends(before: str, after: str) -> bool:
    """Whether the full stop at the end of `before` ends a sentence."""
    if not before.endswith("."):
        return True
    word = before.split()[-1] if before.split() else ""
    said = before.strip().removesuffix(word).rstrip()
    if _ITEM.fullmatch(word) and (not said or said.endswith(":")):  # the number of a list item
        return False
    bare = word[:-1].lstrip("([\"'").lower()
    if _CLOCK.search(bare):
        return after[:1].isupper()
    return not _ABBREVIATION.fullmatch(bare) and not (len(bare) == 1 and bare.isalpha())


def split_sentences_official(report: str) -> list[str]:
    """Cut as the official code does, its damage included: at every number with a full stop, then at every full stop.

    Lower case, only runs of ASCII word characters, sentences of fewer than two words dropped, a report of fewer than
    three words emptied. For parity; `split_sentences` is the default.

    Example:
        >>> split_sentences_official("2. Stable 2.5 cm nodule in the right lower lobe.")
        ['5 cm nodule in the right lower lobe']
    """
    parts = [piece for chunk in re.split(r"[0-9]+\.", report.replace("\n", " ")) for piece in chunk.split(".")]
    words = [re.findall(r"\w+", part.lower().encode("ascii", "ignore").decode()) for part in parts]
    kept = [" ".join(sentence) for sentence in words if len(sentence) > 1]
    return kept if sum(len(sentence.split()) for sentence in kept) > 2 else []
