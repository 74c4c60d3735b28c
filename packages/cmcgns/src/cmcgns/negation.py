"""The opposite of a sentence, by rule."""

from __future__ import annotations

import re

# Tried in order; the first that fits is used. Each pair works both ways.
_RULES: tuple[tuple[str, str], ...] = (
    (r"^There is no (evidence of )?", "There is "),
    (r"^There are no ", "There are "),
    (r"^There is (an? )?", "There is no "),
    (r"^There are ", "There are no "),
    (r"^No (evidence of )?", "There is "),
    (r"\b(is|are|was|were) not ", r"\1 "),
    (r"\bwithout ", "with "),
    (r"\b(is|are) ", r"\1 not "),
    (r"\bwith ", "without "),
)


def negate(sentence: str) -> str:
    """State what a sentence denies, or deny what it states; a phrase gets a "No" in front.

    Rule-made and meant for comparison of two similarities, not for reading.

    Example:
        >>> negate("No pleural effusion."), negate("Small effusion on the right."), negate("The heart is enlarged.")
        ('There is pleural effusion.', 'No small effusion on the right.', 'The heart is not enlarged.')
    """
    for pattern, replacement in _RULES:
        changed, count = re.subn(pattern, replacement, sentence, count=1, flags=re.IGNORECASE)
        if count:
            return changed
    return f"No {sentence[:1].lower()}{sentence[1:]}"
