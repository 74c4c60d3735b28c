"""Every flag of every command but `--help`: a new one, or one less, is a decision and not an accident."""

from __future__ import annotations

TALK = {"--json", "--debug"}
DATA = {"--setting", "--format", "--pairs", "--split", "--parse-scheme", "--folder"}
FLAGS = {
    "assets list": TALK | {"--quiet"},
    "assets fetch": TALK | {"--quiet", "--for"},
    "assets verify": TALK | {"--quiet", "--for"},
    "explain": TALK
    | DATA
    | {"--pred", "--run-dir", "--to", "--from", "--metric", "--region", "--published", "--limit", "--pattern"}
    | {"--weights-dir", "--test-random-weights", "--device", "--seed", "--resume", "--quiet"},
    "run": TALK | DATA | {"--out", "--command", "--compose", "--checkpoint"} | {"--seed", "--resume", "--quiet"},
    "train-warp": TALK
    | DATA - {"--setting"}
    | {"--run-dir", "--recipe", "--config", "--set", "--steps", "--max-minutes", "--allow"}
    | {"--device", "--seed", "--resume", "--quiet"},
    "prepare": TALK
    | {"--size", "--recipe", "--parse-scheme", "--estimate", "--pose-model", "--pairs", "--split", "--folder"}
    | {"--padding", "--workers", "--allow", "--resume", "--quiet"},
    "train-pbe": TALK
    | DATA - {"--setting"}
    | {"--run-dir", "--recipe", "--config", "--set", "--base", "--lora", "--steps", "--max-minutes", "--allow"}
    | {"--device", "--seed", "--resume", "--quiet"},
    "sample": TALK
    | DATA
    | {"--model", "--out", "--scheduler", "--steps", "--guidance", "--compose", "--start", "--strength"}
    | {"--batch-size", "--shard", "--device", "--seed", "--resume", "--quiet"},
    "registry": TALK
    | {"--method", "--tag", "--pipeline", "--warp", "--stage", "--since", "--until"}
    | {"--dataset", "--metric", "--setting", "--region", "--plot"},
    "diff-protocols": TALK,
    "doctor": TALK | DATA | {"--pred", "--methods", "--pattern"},
    "synth": TALK | {"--cases", "--size", "--corrupt", "--seed"},
    "register": TALK | DATA | {"--methods", "--pattern", "--panels", "--allow-missing"},
    "evaluate": TALK
    | DATA
    | {"--run-dir", "--pred", "--methods", "--protocol", "--pattern", "--weights-dir", "--test-random-weights"}
    | {"--allow", "--shard", "--device", "--seed", "--resume", "--quiet"},
    "compare": TALK | {"--metric", "--region"},
    "report": TALK | {"--out", "--table", "--votes"},
    "arena": TALK | {"--duels", "--seed", "--votes"},
    "meta": TALK | {"--run-dir", "--cases", "--size", "--seed", "--quiet"},
    "demo": TALK | {"--run-dir", "--seed", "--resume", "--quiet"},
}
