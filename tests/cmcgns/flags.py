"""Every flag of every command but `--help`: a new one, or one less, is a decision and not an accident."""

from __future__ import annotations

COMMON = {"--json", "--debug"}
TRAINING = COMMON | {"--config", "--set", "--run-dir", "--device", "--seed", "--resume", "--quiet"}

FLAGS: dict[str, set[str]] = {
    "pretrain": TRAINING | {"--recipe", "--epochs", "--max-minutes", "--allow"},
}
