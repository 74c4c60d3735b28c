"""Every flag of every command but `--help`: a new one, or one less, is a decision and not an accident."""

from __future__ import annotations

RUN = {"--run-dir", "--device", "--seed", "--resume", "--max-minutes", "--json", "--quiet", "--debug"}
TALK = {"--json", "--quiet", "--debug"}
JUDGE = TALK | {"--model", "--on", "--layout", "--device"}
TRAINING = {"--run-dir", "--recipe", "--config", "--set", "--layout", "--epochs", "--device", "--seed", "--resume"}
FLAGS = {
    "train": TALK | TRAINING | {"--max-minutes", "--allow"},
    "evaluate": JUDGE | {"--run-dir", "--localiser", "--flips"},
    "compare": {"--json", "--debug"},
    "localize": JUDGE | {"--out", "--localiser", "--flips"},
    "calibrate": JUDGE | {"--kind", "--sensitivity", "--confidence"},
    "crossval": TALK | TRAINING | {"--by", "--folds"},
    "export": {"--model", "--out", "--json", "--debug"},
    "claims": TALK | {"--run-dir", "--resume"},
    "synth": {"--cases", "--seed", "--json", "--debug"},
    "prepare": TALK | {"--out", "--config", "--set", "--layout", "--box-base", "--breast-masks", "--resume"},
    "doctor": TALK | {"--layout", "--limit"},
    "predict": TALK
    | {"--model", "--out", "--study", "--times", "--side", "--breast-mask", "--localiser", "--flips", "--format"}
    | {"--label", "--allow", "--device"},
    "demo": RUN,
    "assets list": TALK,
    "assets fetch": TALK | {"--for"},
    "assets verify": TALK | {"--for"},
}
