"""Every flag of every command but `--help`: a new one, or one less, is a decision and not an accident."""

from __future__ import annotations

RUN = {"--run-dir", "--device", "--seed", "--resume", "--max-minutes", "--json", "--quiet", "--debug"}
TALK = {"--json", "--quiet", "--debug"}
FLAGS = {
    "train": RUN | {"--config", "--set", "--epochs", "--allow"},
    "predict": TALK
    | {"--model", "--out", "--batch-size", "--device", "--resume"}
    | {
        "--window",
        "--overlap",
        "--tta",
        "--precision",
        "--max-memory",
        "--uncertainty",
        "--probabilities",
        "--raw",
    },
    "evaluate": TALK | {"--run-dir", "--empty", "--masks", "--images"},
    "compare": TALK | {"--metric", "--alpha"},
    "info": {"--model", "--json", "--debug"},
    "convert": {"--num-classes", "--in-channels", "--trained-size", "--json", "--debug"},
    "synth": {"--cases", "--side", "--seed", "--json", "--debug"},
    "demo": RUN,
    "assets list": TALK,
    "assets fetch": TALK | {"--for"},
    "assets verify": TALK | {"--for"},
}
