"""The blind A/B vote: a page that does not know the methods, a key that does, and the ranking."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.errors import DataError
from .._shared.files import atomic_write
from ..engine.evaluation import Evaluation
from ..stats.bradley_terry import Vote
from .page import resource, template
from .pictures import thumbnail

KEY_FILE = "arena-key.json"
PAGE_FILE = "arena.html"


def write_arena(evaluation: Evaluation, out: Path, *, duels: int = 60, seed: int = 0) -> Path:
    """Write the page and, apart from it, the key that says which picture is whose.

    Every two methods meet equally often up to one, on random pairs; sides are drawn by chance.

    Args:
        evaluation: at least two methods.
        out: folder for `arena.html` and `arena-key.json`.
        duels: number of questions.
        seed: of the choice of pairs and sides.

    Raises:
        DataError: fewer than two methods.
    """
    if len(evaluation.methods) < 2:
        raise DataError("arena: expected an evaluation of at least two methods")
    rng = np.random.Generator(np.random.Philox(seed))
    chosen = _duels(evaluation, duels, rng)
    identity = hashlib.sha256(json.dumps([evaluation.data, chosen]).encode()).hexdigest()[:12]
    pictures: dict[str, str] = {}
    shown = [_shown(duel, number, evaluation, pictures) for number, duel in enumerate(chosen)]
    content = json.dumps({"id": identity, "duels": shown, "pictures": pictures}).replace("<", "\\u003c")
    page = template("arena.html.j2").render(duels=content, style=resource("page.css"), script=resource("arena.js"))
    atomic_write(out / KEY_FILE, json.dumps({"arena": identity, "duels": chosen}, indent=1))
    atomic_write(out / PAGE_FILE, page)
    return out / PAGE_FILE


def read_votes(key_file: Path, vote_files: Sequence[Path]) -> list[Vote]:
    """Put names to exported votes.

    Raises:
        DataError: a damaged file, or votes of another arena.
    """
    key = _json(key_file)
    votes = []
    for path in vote_files:
        content = _json(path)
        try:
            if content["arena"] != key["arena"]:
                raise DataError(f"{path.name}: votes of arena {content['arena']}, the key is of {key['arena']}")
            votes += [_vote(entry, key["duels"]) for entry in content["votes"]]
        except (KeyError, IndexError, TypeError) as err:
            raise DataError(f"{path.name}: not an export of the arena page; export the votes again") from err
    return votes


def _duels(evaluation: Evaluation, count: int, rng: np.random.Generator) -> list[dict[str, str]]:
    meetings = list(combinations(evaluation.methods, 2))
    pairs = list(evaluation.images)
    found = []
    for number in range(count):
        sides = list(meetings[number % len(meetings)])
        rng.shuffle(sides)
        found.append({"pair": pairs[int(rng.integers(len(pairs)))], "left": str(sides[0]), "right": str(sides[1])})
    rng.shuffle(found)
    return found


def _shown(duel: dict[str, str], number: int, evaluation: Evaluation, pictures: dict[str, str]) -> dict[str, Any]:
    """A duel as the page sees it: numbers of pictures, no names."""
    files = evaluation.images[duel["pair"]]
    roles = {
        "photo": files["photo"],
        "garment": files["garment"],
        "left": files[f"method:{duel['left']}"],
        "right": files[f"method:{duel['right']}"],
    }
    return {"id": number, **{role: _picture(path, pictures) for role, path in roles.items()}}


def _picture(path: str, pictures: dict[str, str]) -> str:
    from ..engine.images import decode

    source = thumbnail(decode(Path(path)), height_px=512)
    name = hashlib.sha256(source.encode()).hexdigest()[:10]
    pictures[name] = source
    return name


def _vote(entry: dict[str, Any], duels: list[dict[str, str]]) -> Vote:
    duel = duels[entry["duel"]]
    winner = "" if entry["choice"] == "tie" else duel[entry["choice"]]
    return Vote(duel["pair"], duel["left"], duel["right"], winner)


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise DataError(f"{path.name}: cannot be read as JSON; expected a file of the arena") from err
