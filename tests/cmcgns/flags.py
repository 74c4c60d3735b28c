"""Every flag of every command but `--help`: a new one, or one less, is a decision and not an accident."""

from __future__ import annotations

COMMON = {"--json", "--debug"}
TRAINING = COMMON | {"--config", "--set", "--run-dir", "--device", "--seed", "--resume", "--quiet"}
TABLE = {"--format", "--reports", "--image-col", "--text-col"}
LABELLED = TABLE | {"--label-col", "--patient-col"}
USE = COMMON | {"--model", "--device", "--quiet"}

FLAGS: dict[str, set[str]] = {
    "synth": COMMON | {"--films", "--side", "--seed"},
    "prepare": COMMON | LABELLED | {"--split", "--side", "--shard-size", "--workers", "--resume", "--quiet"},
    "doctor": COMMON | LABELLED | {"--films", "--seed", "--quiet"},
    "finetune": TRAINING
    | {"--model", "--job", "--head", "--fraction", "--epochs", "--max-minutes", "--random-weights"},
    "fit": (TRAINING - {"--config", "--set"})
    | {"--image-col", "--text-col", "--patient-col", "--recipe", "--max-minutes"},
    "demo": (TRAINING - {"--config", "--set"}) | {"--max-minutes"},
    "embed": USE | TABLE | {"--out"},
    "zeroshot": USE | LABELLED | {"--side", "--label", "--prompts", "--mode"},
    "retrieve": USE | TABLE | {"--patient-col", "--side", "--k", "--duplicates", "--chunk"},
    "ground": USE | {"--format", "--images", "--language", "--side"},
    "probe": USE | LABELLED | {"--label", "--fraction", "--shots", "--seeds"},
    "evaluate": USE | LABELLED | {"--side", "--prompts", "--run-dir"},
    "compare": COMMON | LABELLED | {"--side", "--k"},
    "clusters": USE | TABLE | {"--clusters", "--show", "--seed"},
    "explain": COMMON | {"--model", "--device", "--out", "--margin"},
    "search": USE | {"--top", "--index"},
    "export": COMMON | {"--model", "--max-sentences", "--channels"},
    "assets list": COMMON | {"--quiet"},
    "assets fetch": COMMON | {"--quiet", "--for"},
    "assets verify": COMMON | {"--quiet", "--for"},
    "pretrain": TRAINING | {"--recipe", "--epochs", "--max-minutes", "--allow"},
}
