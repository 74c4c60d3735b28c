"""A finished evaluation: what stands in its folder, for tables, reports and comparisons."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._shared.errors import DataError
from .._shared.files import atomic_path, atomic_write
from .._shared.strict_json import to_json
from .curves import Curve, bias_curves
from .plan import Plan
from .results import INFINITE, Result, pair_results, set_results
from .run import read_chunks
from .score import Score

NOT_COMPARABLE = "NOT COMPARABLE: random network weights"
_FILE = "evaluation.json"
_FORMAT = 2


@dataclass(frozen=True)
class Evaluation:
    """Numbers with everything that is needed to judge them.

    Attributes:
        setting: paired or unpaired.
        data: name and hash of the pair list.
        methods: in the order of the tables.
        protocols: their full content.
        results: every number.
        scores: every pair's number.
        excluded: pair id -> why it does not count.
        weights: network -> file and checksum.
        warning: "" or NOT COMPARABLE.
        curves: Fréchet distances against the number of images.
        images: pair id -> role -> path relative to the folder of the run, for the gallery; absent files are left out.
        notes: method -> what must stand beside its numbers, from the `run.json` of its results.
    """

    setting: str
    data: str
    methods: tuple[str, ...]
    protocols: tuple[dict[str, Any], ...]
    results: tuple[Result, ...]
    scores: tuple[Score, ...]
    excluded: dict[str, str]
    weights: dict[str, str]
    warning: str
    curves: tuple[Curve, ...]
    images: dict[str, dict[str, str]]
    notes: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything but the numbers of single pairs, which have a table of their own."""
        return {
            "format": _FORMAT,
            "setting": self.setting,
            "data": self.data,
            "warning": self.warning,
            "methods": list(self.methods),
            "protocols": list(self.protocols),
            "results": [result.to_json() for result in self.results],
            "excluded": self.excluded,
            "weights": self.weights,
            "curves": [curve._asdict() for curve in self.curves],
            "notes": self.notes,
        }

    def column(self, method: str, protocol: str, metric: str, region: str) -> dict[str, float]:
        """One metric of one method by pair id."""
        wanted = (method, protocol, metric, region)
        return {s.pair_id: s.value for s in self.scores if (s.method, s.protocol, s.metric, s.region) == wanted}


def summarise(plan: Plan, run_dir: Path, *, data: str) -> Evaluation:
    """Read all chunks of a run and compute its numbers.

    Raises:
        ConfigError: chunks are missing.
        DataError: one is damaged.
    """
    scores: list[Score] = []
    excluded: dict[str, str] = {}
    for chunk in read_chunks(run_dir, plan):
        scores += chunk.scores
        excluded |= chunk.excluded
    weights: dict[str, str] = {}
    for path in sorted(run_dir.glob("weights-*.json")):
        weights |= json.loads(path.read_text(encoding="utf-8"))
    return Evaluation(
        setting=plan.setting,
        data=data,
        methods=plan.methods,
        protocols=tuple({**p.model_dump(mode="json"), "stamp": p.stamp} for p in plan.protocols),
        results=(*pair_results(scores), *set_results(plan, run_dir)),
        scores=tuple(scores),
        excluded=excluded,
        weights=weights,
        warning=NOT_COMPARABLE if plan.random_seed is not None else "",
        curves=tuple(bias_curves(plan, run_dir)),
        images={
            row.pair_id: {
                "photo": str(row.reference),
                "garment": str(row.garment),
                **{f"method:{method}": str(row.predictions[method]) for method in plan.methods},
            }
            for row in plan.rows
        },
        notes=_notes(plan),
    )


def write_evaluation(evaluation: Evaluation, run_dir: Path) -> None:
    """Write `evaluation.json`, `samples.csv`, `samples.parquet` and `images.json`, each atomically."""
    import pyarrow as pa
    from pyarrow import parquet

    atomic_write(run_dir / _FILE, to_json(evaluation.to_json(), indent=1))
    atomic_write(run_dir / "images.json", json.dumps(evaluation.images, indent=1))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(Score._fields)
    writer.writerows([*s[:5], "" if math.isnan(s.value) else repr(s.value)] for s in evaluation.scores)
    atomic_write(run_dir / "samples.csv", stream.getvalue())
    columns = {name: [getattr(score, name) for score in evaluation.scores] for name in Score._fields}
    with atomic_path(run_dir / "samples.parquet") as temporary:
        parquet.write_table(pa.table(columns), temporary)


def read_evaluation(run_dir: Path) -> Evaluation:
    """Read the evaluation in a folder.

    Raises:
        DataError: there is none, it is damaged, or another version wrote it.
    """
    from pyarrow import ArrowException, parquet

    try:
        content = json.loads((run_dir / _FILE).read_text(encoding="utf-8"))
        images = json.loads((run_dir / "images.json").read_text(encoding="utf-8"))
        table = parquet.read_table(run_dir / "samples.parquet").to_pydict()
        if content["format"] != _FORMAT:
            raise DataError(f"{run_dir.name}/{_FILE}: format {content['format']}, this version reads {_FORMAT}")
        results = [_result(row) for row in content["results"]]
        curves = tuple(Curve(**row) for row in content["curves"])
    except (OSError, ValueError, KeyError, TypeError, ArrowException) as err:
        raise DataError(
            f"{run_dir.name}: expected the folder of a finished `evaluate` ({type(err).__name__}); run it, or finish "
            "it with --resume"
        ) from err
    scores = zip(*(table[name] for name in Score._fields), strict=True)
    return Evaluation(
        setting=content["setting"],
        data=content["data"],
        methods=tuple(content["methods"]),
        protocols=tuple(content["protocols"]),
        results=tuple(results),
        scores=tuple(Score(*row) for row in scores),
        excluded=content["excluded"],
        weights=content["weights"],
        warning=content["warning"],
        curves=curves,
        images=images,
        notes=content.get("notes", {}),
    )


def _notes(plan: Plan) -> dict[str, str]:
    """What the folders of results say about themselves, such as that a model is tiny and random."""
    notes = {}
    for method in plan.methods:
        about = plan.rows[0].predictions[method].parent / "run.json"
        try:
            told = json.loads(about.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # results of other programs have no such file, or another one of that name
            continue
        if isinstance(told, dict) and told.get("note"):
            notes[method] = str(told["note"])
    return notes


def _result(row: dict[str, Any]) -> Result:
    numbers = {key: math.nan if row[key] is None else float(row[key]) for key in ("value", "low", "high")}
    if row["note"] == INFINITE:  # JSON has no infinity
        numbers["value"] = math.inf
    return Result(**{**row, **numbers})
