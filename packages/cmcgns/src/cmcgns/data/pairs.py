"""What a sample is, whatever format it comes from: one film, its report, and what is known about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError

Split = Literal["train", "validation", "test", ""]

# Values of a finding label, as the CheXpert labeller writes them; a finding that is not mentioned has no entry.
PRESENT, ABSENT, UNCERTAIN = 1.0, 0.0, -1.0


@dataclass(frozen=True)
class Region:
    """A place in the film, and what is said about it.

    Attributes:
        label: the finding or organ.
        box: (x0, y0, x1, y1), fractions of width and height, 0 <= x0 < x1 <= 1.
        sentence: the sentence that the place belongs to, "" where there is none.
    """

    label: str
    box: tuple[float, float, float, float]
    sentence: str = ""


@dataclass(frozen=True)
class ShardMember:
    """Bytes of a file inside an uncompressed tar shard: where they begin and how many they are."""

    shard: Path
    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class RunLengths:
    """A mask as rows of run lengths: pairs (gap, length), column-major, gaps counted from the end of the last run.

    Attributes:
        rows: one text per annotated object; the mask is their union.
        height, width: of the mask, pixels.
    """

    rows: tuple[str, ...]
    height: int = 1024
    width: int = 1024


ImageSource = Path | ShardMember | NDArray[Any]
MaskSource = Path | ShardMember | RunLengths | NDArray[Any]


@dataclass(frozen=True, eq=False)
class Pair:
    """One film with its report.

    Attributes:
        image: a file, a member of a shard, or (H, W) uint8 or uint16 grey values.
        report: the text that belongs to the film, "" where the data set has none.
        sections: section name in lower case ("findings", "impression", ...) to its text.
        sample_id, study_id, patient_id: ids, unique per film, study and patient; never printed.
        labels: finding to 1 present, 0 absent, -1 uncertain; not mentioned: no entry.
        regions: boxes, with the sentences they belong to.
        mask: where the finding of a segmentation set lies, None where nothing is annotated.
        split: the side this film is on; "" before a split was made.
        view: projection ("PA", "AP", "LATERAL"), "" if unknown.
        synthetic: True where film and report were brought together by label and not by a patient.
    """

    image: ImageSource
    report: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)
    sample_id: str = ""
    study_id: str = ""
    patient_id: str = ""
    labels: Mapping[str, float] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()
    mask: MaskSource | None = None
    split: Split = ""
    view: str = ""
    synthetic: bool = False


@dataclass(frozen=True, eq=False)
class PairDataset(Sequence[Pair]):
    """Samples in a fixed order, with the names of their labels.

    Attributes:
        name: the format, such as "mimic-cxr".
        pairs: the samples.
        label_names: every finding that any sample may carry, in the order of the data set's own columns.
        excluded: sample number or file to the reason why it is not among the pairs.

    Example:
        >>> films = [Pair(np.zeros((4, 4), np.uint8), "No effusion.", patient_id=p) for p in ("a", "b")]
        >>> data = PairDataset("example", tuple(films))
        >>> len(data), data[1].report, len(data.only({"b"}))
        (2, 'No effusion.', 1)
    """

    name: str
    pairs: tuple[Pair, ...]
    label_names: tuple[str, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:  # type: ignore[override]  # a slice is asked for with `take`
        return self.pairs[index]

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def take(self, indices: Sequence[int]) -> PairDataset:
        """The samples at these places, in this order."""
        return replace(self, pairs=tuple(self.pairs[int(i)] for i in indices))

    def side(self, split: Split) -> PairDataset:
        """The samples of one side of the split.

        Raises:
            DataError: no sample is on that side.
        """
        pairs = tuple(pair for pair in self.pairs if pair.split == split)
        if not pairs:
            found = sorted({pair.split or "none" for pair in self.pairs})
            raise DataError(f"{self.name}: no sample on the side {split!r}; the data set has {', '.join(found)}")
        return replace(self, pairs=pairs)

    def only(self, patients: set[str]) -> PairDataset:
        """The samples of these patients."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair.patient_id in patients))

    def label_matrix(self, names: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Labels (n, C) of `names` (default: all), NaN where a finding is not mentioned."""
        columns = self.label_names if names is None else names
        return np.array(
            [[pair.labels.get(c, np.nan) for c in columns] for pair in self.pairs], np.float64
        ).reshape(len(self.pairs), len(columns))
