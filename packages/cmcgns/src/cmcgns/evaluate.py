"""Everything that a data set allows to be measured of a model, in one run with one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from ._shared.errors import DataError
from ._shared.files import atomic_write, require_writable_dir
from ._shared.report.html import Section, Table, render_report
from ._shared.strict_json import to_json
from .data.pairs import PairDataset
from .encoders import Encoder
from .features import embed_films
from .grounding import Grounding, ground
from .probe import ProbeScore, probe
from .prompts import Prompts
from .retrieval import Retrieval, retrieve
from .sentences import split_sentences
from .zeroshot import ZeroShot, zero_shot

METRICS, SCORES, PAGE = "metrics.json", "scores.safetensors", "report.html"
RANDOM = "RANDOM WEIGHTS, NOT COMPARABLE"


@dataclass(frozen=True)
class Evaluation:
    """What was measured; None where the data set does not allow it, with the reason.

    Attributes:
        encoder: the model's name.
        comparable: False for random weights.
        samples: films of the evaluated side.
        left_out: measure to the reason why it was not made.
    """

    encoder: str
    comparable: bool
    samples: int
    data_key: str
    synthetic: int = 0
    zero_shot: ZeroShot | None = None
    retrieval: Retrieval | None = None
    grounding: Grounding | None = None
    probes: tuple[ProbeScore, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All results without what belongs to single samples."""
        parts = {"zero_shot": self.zero_shot, "retrieval": self.retrieval, "grounding": self.grounding}
        return {
            "model": self.encoder,
            "comparable": self.comparable,
            "samples": self.samples,
            "synthetic_pairs": self.synthetic,
            "data_key": self.data_key,
            **{name: None if part is None else part.to_json() for name, part in parts.items()},
            "probes": [score.to_json() for score in self.probes],
            "left_out": dict(self.left_out),
        }


def evaluate(
    encoder: Encoder,
    dataset: PairDataset,
    *,
    side: str = "test",
    ks: Sequence[int] = (1, 5, 10),
    prompts: Mapping[str, Prompts] | None = None,
    with_probe: bool = True,
    quiet: bool = True,
) -> Evaluation:
    """Zero-shot, retrieval and grounding on one side, and linear probes fitted on the training side.

    Args:
        encoder: the model.
        dataset: with its sides.
        side: what is measured.
        ks: answers of retrieval.
        prompts: of zero-shot; default sentences where None.
        with_probe: fit probes too.
        quiet: no progress.

    Raises:
        DataError: the side is empty, or a film of it cannot be read.
    """
    part = dataset.side(side)  # type: ignore[arg-type]  # refused there with the sides that exist
    films = embed_films(encoder, part.pairs, quiet=quiet)
    left_out: dict[str, str] = {}
    results: dict[str, Any] = {}
    if part.label_names:
        results["zero_shot"] = zero_shot(encoder, part, prompts=prompts, films=films, quiet=quiet)
    else:
        left_out["zero_shot"] = "the data set has no labels"
    if sum(bool(split_sentences(pair.report)) for pair in part) >= 2:
        results["retrieval"] = retrieve(encoder, part, ks=ks, films=films, quiet=quiet)
    else:
        left_out["retrieval"] = "fewer than two reports"
    if any(pair.regions for pair in part):
        results["grounding"] = ground(encoder, part, quiet=quiet)
    else:
        left_out["grounding"] = "the data set has no boxes"
    if with_probe and part.label_names and side == "test":
        try:
            results["probes"] = tuple(probe(encoder, dataset, quiet=quiet))
        except DataError as err:
            left_out["probe"] = str(err)
    synthetic = sum(pair.synthetic for pair in part)
    key = data_key(part)
    return Evaluation(encoder.name, encoder.comparable, len(part), key, synthetic, left_out=left_out, **results)


def data_key(dataset: PairDataset) -> str:
    """Changes with the samples or their order; only evaluations of one key are compared."""
    import hashlib

    digest = hashlib.sha256()
    for pair in dataset:
        digest.update(json.dumps([pair.sample_id, pair.report, sorted(pair.labels.items())]).encode())
    return digest.hexdigest()[:16]


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """The results as tables, every number with its n and interval."""
    tables = []
    if evaluation.zero_shot is not None:
        zero = evaluation.zero_shot
        rows: list[list[Any]] = [
            [f.name, f.n, f.n_present, f.auroc, _interval(f.low, f.high), f.polarity] for f in zero.findings
        ]
        rows.append(["mean", "", "", zero.macro[0], _interval(zero.macro[1], zero.macro[2]), None])
        header = ["zero-shot finding", "n", "present", "AUROC", "95 % interval", "polarity"]
        tables.append(Table(header, [[_blank(c) for c in row] for row in rows]))
    if evaluation.retrieval is not None:
        header = ["retrieval", "k", "recall", "95 % interval", "chance", "n"]
        found = evaluation.retrieval.recalls
        tables.append(
            Table(header, [[r.direction, r.k, r.value, _interval(r.low, r.high), r.chance, r.n] for r in found])
        )
    if evaluation.grounding is not None:
        g = evaluation.grounding
        parts = (
            ("pointing game", g.pointing, g.pointing_chance),
            ("the same by sentences about other labels", g.others, g.pointing_chance),
            ("difference of the two", g.specific, 0.0),
            ("CNR", g.cnr, 0.0),
            ("IoU", g.iou, None),
        )
        tables.append(
            Table(
                ["grounding", "value", "95 % interval", "chance", "n", "undefined"],
                [[n, m.value, _interval(m.low, m.high), _blank(c), m.n, m.undefined] for n, m, c in parts],
            )
        )
    if evaluation.probes:
        header = ["linear probe", "AUROC", "95 % interval over seeds", "seeds", "films", "n"]
        rows = [
            [p.labels, p.value, _interval(p.low, p.high), p.seeds, p.n_train, p.n_test] for p in evaluation.probes
        ]
        tables.append(Table(header, rows))
    return tables


def evaluation_text(evaluation: Evaluation) -> str:
    """The tables as plain text."""
    lines = [f"{evaluation.encoder}: {evaluation.samples} samples"]
    if not evaluation.comparable:
        lines.append(RANDOM)
    if evaluation.synthetic:
        lines.append(
            f"{evaluation.synthetic} of them are synthetic pairs (film and report brought together by label)"
        )
    for table in evaluation_tables(evaluation):
        texts = [list(table.header), *table.texts]
        widths = [max(len(row[i]) for row in texts) for i in range(len(table.header))]
        lines += ["", *("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in texts)]
    lines += [f"not measured: {name}: {reason}" for name, reason in evaluation.left_out.items()]
    return "\n".join(lines)


def write_evaluation(evaluation: Evaluation, folder: Path) -> Path:
    """Write `metrics.json`, `scores.safetensors` (what `compare` pairs) and `report.html`.

    Returns:
        The page.

    Raises:
        ResourceError: the folder cannot be written.
    """
    require_writable_dir(folder)
    atomic_write(folder / METRICS, to_json(evaluation.to_json(), indent=1))
    atomic_write(folder / SCORES, save(_per_sample(evaluation)))
    note = "" if evaluation.comparable else RANDOM
    if evaluation.synthetic:
        note = f"{note} {evaluation.synthetic} of {evaluation.samples} are synthetic pairs.".strip()
    section = Section(
        f"{evaluation.samples} samples",
        text="\n\n".join(f"Not measured: {name}: {reason}." for name, reason in evaluation.left_out.items()),
        tables=evaluation_tables(evaluation),
    )
    atomic_write(folder / PAGE, render_report(f"Evaluation of {evaluation.encoder}", [section], note=note))
    return folder / PAGE


def _per_sample(evaluation: Evaluation) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {"samples": torch.tensor([evaluation.samples])}
    if evaluation.zero_shot is not None:
        tensors["zero_shot"] = torch.from_numpy(evaluation.zero_shot.scores)
    if evaluation.retrieval is not None:
        tensors |= {f"rank.{k}": torch.from_numpy(np.array(v)) for k, v in evaluation.retrieval.ranks.items()}
    if evaluation.grounding is not None:
        tensors["pointing"] = torch.from_numpy(evaluation.grounding.hits)
    return tensors


def _interval(low: float, high: float) -> str:
    return "undefined" if low != low else f"{low:.3f} to {high:.3f}"


def _blank(cell: Any) -> Any:
    return "" if cell is None else cell
