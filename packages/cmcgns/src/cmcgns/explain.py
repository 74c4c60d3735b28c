"""One film and its report as a page: every sentence, where it looks, and whether the film supports it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._shared.errors import DataError
from ._shared.files import atomic_write
from ._shared.report.html import Figure, Section, Table, render_report
from .data.pixels import read_pixels
from .encoders import Encoder
from .grounding import sentence_maps
from .negation import negate
from .pictures import film_png, heat_png
from .sentences import split_sentences
from .transforms import film_tensor


@dataclass(frozen=True, eq=False)
class Evidence:
    """A sentence and what the film says about it.

    Attributes:
        sentence: as written.
        similarity: cosine of film and sentence.
        opposite: cosine of film and the sentence's opposite (`negation.negate`).
        supported: whether the sentence is nearer than its opposite by more than the margin.
        peak: (x, y) of the brightest place, fractions of the square that the model sees.
        heat: (S, S) cosine map.
    """

    sentence: str
    similarity: float
    opposite: float
    supported: bool
    peak: tuple[float, float]
    heat: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """All but the map."""
        kept = asdict(self)
        del kept["heat"]
        return kept


def explain(
    encoder: Encoder, image: Path, report: str, *, margin: float = 0.0
) -> tuple[list[Evidence], NDArray[np.floating]]:
    """Look for every sentence of a report in a film.

    Args:
        encoder: the model.
        image: the film.
        report: any text.
        margin: how much nearer than its opposite a supported sentence must be, in cosine.

    Returns:
        One entry per sentence, and the square (S, S) in [0, 1] that the model saw.

    Raises:
        DataError: the film cannot be read, or the report has no sentence.
    """
    sentences = split_sentences(report)
    if not sentences:
        raise DataError("report: no sentence with letters; give the text of a report")
    tensor, _ = film_tensor(read_pixels(image), side_px=encoder.side_px, channels=1)
    film = encoder.encode_image(tensor[None].to(encoder.device)).pooled[0]
    stated = encoder.encode_text(sentences).pooled @ film
    denied = encoder.encode_text([negate(sentence) for sentence in sentences]).pooled @ film
    rows = []
    for sentence, near, far, heat in zip(
        sentences, stated.tolist(), denied.tolist(), sentence_maps(encoder, tensor, sentences), strict=True
    ):
        row, column = np.unravel_index(int(heat.argmax()), heat.shape)
        peak = (float((column + 0.5) / heat.shape[1]), float((row + 0.5) / heat.shape[0]))
        rows.append(Evidence(sentence, near, far, near - far > margin, peak, heat))
    return rows, (tensor[0].numpy() + 1) / 2


def write_explanation(
    encoder: Encoder, image: Path, report: str, out: Path, *, margin: float = 0.0
) -> list[Evidence]:
    """Write the page of `explain` as one HTML file.

    Raises:
        DataError: see `explain`.
        ResourceError: the file cannot be written.
    """
    rows, film = explain(encoder, image, report, margin=margin)
    table = Table(
        ["sentence", "similarity", "its opposite", "supported"],
        [[r.sentence, r.similarity, r.opposite, "yes" if r.supported else "NOT SUPPORTED"] for r in rows],
        "Cosine of the film with each sentence and with its rule-made opposite.",
    )
    whole = Section(
        "Film and report", tables=[table], figures=[Figure(film_png(film), "what the model sees", "the film")]
    )
    maps = [
        Section(
            r.sentence if r.supported else f"{r.sentence} (NOT SUPPORTED)",
            figures=[
                Figure(
                    heat_png(film, r.heat),
                    f"similarity {r.similarity:.3f}, opposite {r.opposite:.3f}; colour: cosine with each patch, from "
                    f"{r.heat.min():.3f} (dark) to {r.heat.max():.3f} (bright)",
                    "heat map of the sentence over the film",
                )
            ],
        )
        for r in rows
    ]
    note = "A map shows what the model relates to a sentence, not a diagnosis; not for clinical use."
    if not encoder.comparable:
        note = f"RANDOM WEIGHTS, NOT COMPARABLE. {note}"
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(out, render_report("Report, sentence by sentence", [whole, *maps], note=note))
    return rows
