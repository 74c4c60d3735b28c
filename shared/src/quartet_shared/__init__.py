"""The thin common floor of the Quartet packages: engine, checkpoints, I/O, metrics, reports and CLI plumbing.

Inside a package this code is linked as `<package>._shared`; import the submodule you need. Nothing is imported
here, so that a package pays only for what it uses.
"""

from __future__ import annotations

__version__ = "0.1.0"
