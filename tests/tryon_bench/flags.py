"""Every flag of every command but `--help`: a new one, or one less, is a decision and not an accident."""

from __future__ import annotations

TALK = {"--json", "--debug"}
DATA = {"--setting", "--format", "--pairs", "--split", "--parse-scheme", "--folder"}
FLAGS = {
    "explain": TALK
    | DATA
    | {"--pred", "--run-dir", "--to", "--from", "--metric", "--region", "--published", "--limit", "--pattern"}
    | {"--weights-dir", "--test-random-weights", "--device", "--seed", "--resume", "--quiet"},
    "run": TALK | DATA | {"--out", "--command", "--seed", "--resume", "--quiet"},
    "registry": TALK
    | {"--method", "--tag", "--pipeline", "--warp", "--stage", "--since", "--until"}
    | {"--dataset", "--metric", "--setting", "--region", "--plot"},
    "diff-protocols": TALK,
    "doctor": TALK | DATA | {"--pred", "--methods", "--pattern"},
    "synth": TALK | {"--cases", "--size", "--corrupt", "--seed"},
    "register": TALK | DATA | {"--methods", "--pattern", "--panels", "--allow-missing"},
}
