"""Build hook: stop with a clear message where the link to the shared code was lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Guard(BuildHookInterface):  # type: ignore[type-arg]
    """Refuse to build a package without its copy of the shared code."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Check that src/<package>/_shared is a readable directory."""
        if not next(Path(self.root, "src").glob("*/_shared/__init__.py"), None):
            raise RuntimeError("src/*/_shared is not a link to shared/; clone with git's core.symlinks=true")
