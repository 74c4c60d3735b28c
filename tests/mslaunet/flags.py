"""Every flag of every command but `--help`: a new one, or one less, is a decision and not an accident."""

from __future__ import annotations

RUN = {"--run-dir", "--device", "--seed", "--resume", "--max-minutes", "--json", "--quiet", "--debug"}
TALK = {"--json", "--quiet", "--debug"}
FLAGS = {
    "train": RUN | {"--config", "--set", "--epochs", "--allow", "--recipe", "--seeds", "--folds"},
    "predict": TALK
    | {"--model", "--out", "--batch-size", "--device", "--resume", "--part", "--format"}
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
    "evaluate": TALK | {"--run-dir", "--empty", "--masks", "--images", "--part"},
    "compare": TALK | {"--metric", "--alpha"},
    "info": {"--model", "--json", "--debug"},
    "ablate": (RUN - {"--max-minutes"}) | {"--config", "--set", "--steps", "--seeds", "--arm"},
    "export": {"--model", "--out", "--format", "--int8", "--json", "--debug"},
    "convert": {"--num-classes", "--in-channels", "--trained-size", "--json", "--debug"},
    "prepare": TALK | {"--label-map", "--regroup", "--allow-overlap", "--max-excluded", "--seed", "--resume"},
    "split": {"--folds", "--stratify", "--official", "--layout", "--label-map", "--allow-overlap", "--seed"}
    | {"--json", "--debug"},
    "doctor": TALK | {"--layout", "--label-map"},
    "synth": {"--cases", "--side", "--seed", "--json", "--debug"},
    "demo": RUN,
    "assets list": TALK,
    "assets fetch": TALK | {"--for"},
    "assets verify": TALK | {"--for"},
}
