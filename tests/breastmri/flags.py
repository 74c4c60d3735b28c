"""Every flag of every command but `--help`: a new one, or one less, is a decision and not an accident."""

from __future__ import annotations

RUN = {"--run-dir", "--device", "--seed", "--resume", "--max-minutes", "--json", "--quiet", "--debug"}
TALK = {"--json", "--quiet", "--debug"}
FLAGS = {
    "assets list": TALK,
    "assets fetch": TALK | {"--for"},
    "assets verify": TALK | {"--for"},
}
