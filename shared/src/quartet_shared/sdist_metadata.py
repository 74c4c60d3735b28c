"""Stands in for setuptools while pip downloads a source archive, so that nothing of the archive is run.

`pip download` wants the metadata of what it downloads and would install build tools and run the package's setup code
for them. `downloads` puts a copy of this file first on that pip's path as `setuptools.build_meta`; it answers with
the metadata file that every source archive carries.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from email.parser import HeaderParser
from pathlib import Path


def get_requires_for_build_wheel(config_settings: Mapping[str, str] | None = None) -> list[str]:
    """PEP 517 hook: nothing is needed."""
    return []


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: Mapping[str, str] | None = None
) -> str:
    """PEP 517 hook: copies `PKG-INFO` of the source tree in the current folder.

    Returns:
        The name of the `.dist-info` folder made in `metadata_directory`.
    """
    text = Path("PKG-INFO").read_text(encoding="utf-8")
    fields = HeaderParser().parsestr(text, headersonly=True)
    folder = f"{fields['Name'].replace('-', '_')}-{fields['Version']}.dist-info"
    (Path(metadata_directory) / folder).mkdir()
    (Path(metadata_directory) / folder / "METADATA").write_text(text, encoding="utf-8")
    return folder


__legacy__ = sys.modules[__name__]  # what PEP 517 asks of setuptools for archives without a [build-system] table
