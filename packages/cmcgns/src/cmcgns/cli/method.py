"""Commands of the method: pretrain and the claims about it."""

from __future__ import annotations
