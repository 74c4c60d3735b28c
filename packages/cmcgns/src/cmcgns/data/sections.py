"""A radiology report's text -> its sections."""

from __future__ import annotations

import re
from collections.abc import Mapping

# A heading starts a line, is written in capitals and ends with a colon.
_HEADING = re.compile(r"^[ \t]*([A-Z][A-Z /(),&-]{2,60}):[ \t]*", re.MULTILINE)

# Headings that occur in practice -> the section they open. Longest match wins; ours, written from the headings of the
# public reports, not the list of the MIMIC code.
_SECTIONS = {
    "FINDINGS": "findings",
    "FINDING": "findings",
    "CHEST": "findings",
    "IMPRESSION": "impression",
    "CONCLUSION": "impression",
    "CONCLUSIONS": "impression",
    "SUMMARY": "impression",
    "INDICATION": "indication",
    "REASON FOR EXAM": "indication",
    "REASON FOR EXAMINATION": "indication",
    "HISTORY": "indication",
    "CLINICAL HISTORY": "indication",
    "COMPARISON": "comparison",
    "COMPARISONS": "comparison",
    "TECHNIQUE": "technique",
    "EXAMINATION": "examination",
    "EXAM": "examination",
}


def split_sections(text: str) -> dict[str, str]:
    r"""Sections by heading; of two with one name the last counts, and a report without headings has "text" alone.

    Headings that name findings or an impression among other words ("FINDINGS AND IMPRESSION") open that section;
    other headings open a section of their own name in lower case.

    Example:
        >>> split_sections(" INDICATION:  Cough.\n\n FINDINGS: Clear\n lungs.\n IMPRESSION:\n 1. Normal.")
        {'indication': 'Cough.', 'findings': 'Clear lungs.', 'impression': '1. Normal.'}
        >>> split_sections("Lungs are clear.")
        {'text': 'Lungs are clear.'}
    """
    found = list(_HEADING.finditer(text))
    sections = {}
    for heading, following in zip(found, [*found[1:], None], strict=False):
        body = " ".join(text[heading.end() : following.start() if following else len(text)].split())
        if body:
            sections[_section_name(heading.group(1))] = body
    if not sections and text.strip():
        return {"text": " ".join(text.split())}
    return sections


def report_text(sections: Mapping[str, str]) -> str:
    """Impression, then findings, as the pretraining recipe joins them; "" where a report has neither.

    Example:
        >>> report_text({"findings": "Clear lungs.", "impression": "Normal."})
        'Normal. Clear lungs.'
    """
    return " ".join(sections[name] for name in ("impression", "findings") if sections.get(name))


def _section_name(heading: str) -> str:
    words = " ".join(heading.split())
    if words in _SECTIONS:
        return _SECTIONS[words]
    for word, section in (("IMPRESSION", "impression"), ("FINDINGS", "findings"), ("COMPARISON", "comparison")):
        if word in words:
            return section
    return words.lower()
