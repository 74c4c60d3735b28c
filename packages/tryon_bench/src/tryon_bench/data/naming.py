"""How methods name their results: every pattern seen in the wild, and templates for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from .._shared.errors import ConfigError
from .sample import Sample

FIELDS = (
    *("pair_id", "person", "person_stem", "person_id", "garment", "garment_stem", "garment_id"),
    *("category", "index", "index1", "digits8"),
)
_FIELD = re.compile(r"\{(\w+)(?::[^{}]*)?\}")

# name -> template of the stem. The two counters, and the eight characters that CatVTON and Leffa compare, come last:
# they say least.
PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        "pair_id": "{pair_id}",  # our own runs
        "person_stem+garment_stem": "{person_stem}_{garment_stem}",  # StableVITON
        "person_id+garment": "{person_id}_{garment_stem}",  # VITON-HD, HR-VITON
        "person": "{person_stem}",  # CatVTON, IDM-VTON, LaDI-VTON
        "person_id": "{person_id}",
        "index": "{index}",  # CAT-DM, PF-AFN
        "index1": "{index1}",
        "digits8": "{digits8}",  # "inshop_05006_00" of Leffa, or any other prefix and suffix
    }
)
COUNTERS = ("index", "index1")


def template_of(pattern: str) -> str:
    """The template of a built-in name, or the user's own without its suffix.

    Raises:
        ConfigError: no name of a pattern and no template with a known field.

    Example:
        >>> template_of("{person_stem}_{garment}.{ext}")
        '{person_stem}_{garment_stem}'
    """
    if pattern in PATTERNS:
        return PATTERNS[pattern]
    fields = _FIELD.findall(pattern.removesuffix(".{ext}"))
    unknown = [name for name in fields if name not in FIELDS]
    if not fields or unknown:
        raise ConfigError(
            f"pattern {pattern!r}: {'unknown field ' + unknown[0] if unknown else 'no field'}; use one of "
            f"{', '.join(PATTERNS)}, or a template of {', '.join('{' + name + '}' for name in FIELDS)}"
        )
    # names carry their own suffix, and results may have another one: stems are compared
    text = re.sub(r"\{(person|garment)\}", r"{\1_stem}", pattern.removesuffix(".{ext}"))
    return re.sub(r"\.(jpe?g|png|webp)$", "", text, flags=re.IGNORECASE)


def expected_stem(template: str, sample: Sample, index: int) -> str:
    """What the result of a row is called under a template, without suffix.

    Raises:
        ConfigError: a format that does not fit its field, such as {person:d}.
    """
    person, garment = sample.person.stem, sample.garment.stem
    fields: dict[str, str | int] = {
        "pair_id": sample.pair_id,
        "person_stem": person,
        "person_id": person.partition("_")[0],
        "garment_stem": garment,
        "garment_id": garment.partition("_")[0],
        "category": sample.category,
        "index": index,
        "index1": index + 1,
        "digits8": digits8(person),
    }
    try:
        return template.format(**fields)
    except (ValueError, LookupError) as err:
        raise ConfigError(f"pattern {template!r}: {err}") from err


def digits8(stem: str) -> str:
    """Eight characters from the first digit, the key by which CatVTON and Leffa compare names.

    A name with further digits gives "": it may hold a garment's id as well, and an unpaired result would pass for a
    paired one, as it does in their scripts.

    Example:
        >>> digits8("inshop_05006_00_result"), digits8("05006_00_13358_00")
        ('05006_00', '')
    """
    digit = re.search(r"\d", stem)
    if digit is None or re.search(r"\d", stem[digit.start() + 8 :]):
        return ""
    return stem[digit.start() : digit.start() + 8]


def key_of(template: str) -> Callable[[str], str]:
    """What of a file's stem is compared with the expected one."""
    if template == PATTERNS["digits8"]:
        return digits8
    if template in (PATTERNS["index"], PATTERNS["index1"]):
        return lambda stem: str(int(stem)) if stem.isascii() and stem.isdigit() else ""  # 0007 is 7
    return lambda stem: stem


def only_counters(files: Sequence[Path]) -> bool:
    """True where every file is called by a number: only then may a counter be guessed."""
    return all(path.stem.isascii() and path.stem.isdigit() for path in files)
