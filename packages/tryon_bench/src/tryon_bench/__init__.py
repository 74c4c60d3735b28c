"""Try-on bench: one trustworthy evaluation of virtual try-on methods, with runnable baselines. Not built yet."""

from __future__ import annotations
