"""What the registry's tables may hold; a damaged table is refused when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from .._shared.config import FrozenModel

# F: a figure of the survey's repository, D: digitised from one, R: read in the method's code, S: a secondary source,
# M: general knowledge, not read again.
Evidence = Literal["F", "D", "R", "S", "M"]
Tag = Literal["cycle", "teacher_student", "multi_garment", "high_res", "implicit", "diffusion_tuning", "other"]
Pipeline = Literal["I", "II", "III", "IV", "V", "VI", "VII"]
PersonCode = Literal["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11", "P12", "P13"]
Indication = Literal[
    "none", "semantic_map", "coarse_rgb", "cloth_mask", "landmarks", "silhouette", "joint_with_warp"
]
Warp = Literal["tps", "stn", "flow", "implicit", "uv"]
Stage = Literal["mask_composition", "generator", "stylegan", "diffusion"]
Metric = Literal["ssim", "lpips", "fid", "inception_score", "semantic_score"]
HIGHER_IS_BETTER = ("ssim", "inception_score")


class Method(FrozenModel):
    """One method of the survey's timeline, described in the survey's terms."""

    id: str = Field(pattern=r"^[a-z0-9-]+$", description="Key of all tables.")
    names: tuple[str, ...] = Field(
        min_length=1, description="As figures and papers call it, the usual name first."
    )
    year: int = Field(ge=2017, le=2024, description="As printed in the figure.")
    venue: str = Field(description="As printed in the figure.")
    venue_note: str = Field(default="", description="Where the figure's label is probably a slip.")
    tags: tuple[Tag, ...] = Field(min_length=1, description="The figure's colours.")
    pipeline: Pipeline = Field(description="Type of the survey's seven; assigned here.")
    person_repr: tuple[PersonCode, ...] = Field(min_length=1, description="Representations of the person.")
    person_detail: str = Field(default="", description="In words.")
    indication: tuple[Indication, ...] = Field(min_length=1, description="What tells the layout of the result.")
    indication_detail: str = Field(default="", description="In words.")
    warp: tuple[Warp, ...] = Field(min_length=1, description="How the garment is brought to the body.")
    warp_detail: str = Field(default="", description="In words.")
    tryon_stage: Stage = Field(description="What makes the picture.")
    tryon_stage_detail: str = Field(default="", description="In words.")
    losses: str = Field(description="Main losses.")
    code: str = Field(default="", description="Repository, or where the code is.")
    arxiv: str = Field(default="", pattern=r"^(\d{4}\.\d{5})?$", description="Number of the preprint.")
    evidence: Mapping[str, Evidence] = Field(description="Where each field comes from.")

    @model_validator(mode="after")
    def _every_field_has_evidence(self) -> Method:
        needed = {"names", "year", "venue", "tags", "pipeline", "person_repr", "indication", "warp", "tryon_stage"}
        missing = sorted((needed | {"losses", "code"}) - self.evidence.keys())
        if missing:
            raise ValueError(f"{self.id}: no evidence for {', '.join(missing)}")
        return self


class Panel(FrozenModel):
    """One panel of a plot: a metric of all methods, with the error of reading it."""

    dataset: Literal["VITON", "VITON-HD"] = Field(description="Test set.")
    metric: Metric = Field(description="What is plotted.")
    setting: Literal["paired", "unpaired"] = Field(description="Setting.")
    region: Literal["all", "clothing", "person"] = Field(description="Region.")
    error: float = Field(gt=0, description="Error of reading, plus or minus, in the metric's unit.")
    valid: bool = Field(default=True, description="False where the numbers cannot mean what the title says.")
    scale_known: bool = Field(default=True, description="False where only the order can be read.")
    note: str = Field(default="", description="What to know.")
    values: Mapping[str, float] = Field(min_length=1, description="Method, or method@1024, to value.")
    recovered: tuple[str, ...] = Field(default=(), description="Markers under others, recovered indirectly.")
    ranges: Mapping[str, tuple[float, float]] = Field(default={}, description="Where only a range can be read.")

    @model_validator(mode="after")
    def _extras_name_values(self) -> Panel:
        unknown = sorted({*self.recovered, *self.ranges} - self.values.keys())
        if unknown:
            raise ValueError(f"{self.dataset} {self.metric}: no value for {', '.join(unknown)}")
        return self


class Grade(FrozenModel):
    """Shares of the grades that people gave to one method's results."""

    method: str = Field(description="Key.")
    E: float = Field(ge=0, le=1, description="Share.")
    D: float = Field(ge=0, le=1, description="Share.")
    C: float = Field(ge=0, le=1, description="Share.")
    B: float = Field(ge=0, le=1, description="Share.")
    A: float = Field(ge=0, le=1, description="Share.")


class Grades(FrozenModel):
    """The picture of human grades; whether A or E is better is not stated in it."""

    error: float = Field(gt=0, description="Error of reading a share.")
    shares: tuple[Grade, ...] = Field(min_length=1, description="One row per method.")


class Published(FrozenModel):
    """What one source prints for one method on VITON-HD."""

    method: str = Field(description="Key; methods outside of the survey have one too.")
    source: str = Field(min_length=1, description="Who prints it.")
    evidence: Evidence = Field(description="How it was got.")
    ssim: float | None = Field(default=None, ge=0, le=1, description="Paired.")
    lpips: float | None = Field(default=None, ge=0, description="Paired.")
    fid_paired: float | None = Field(default=None, ge=0, description="Paired.")
    kid_paired_x1000: float | None = Field(default=None, description="Paired, times 1000.")
    fid_unpaired: float | None = Field(default=None, ge=0, description="Unpaired.")
    kid_unpaired_x1000: float | None = Field(default=None, description="Unpaired, times 1000.")


class Registry(FrozenModel):
    """All tables together, whose keys must fit each other."""

    methods: tuple[Method, ...]
    panels: tuple[Panel, ...]
    grades: Grades
    published: tuple[Published, ...]

    @model_validator(mode="after")
    def _keys_fit(self) -> Registry:
        ids = [method.id for method in self.methods]
        if len(set(ids)) < len(ids):
            raise ValueError("a method stands in the registry twice")
        used = {key.partition("@")[0] for panel in self.panels for key in panel.values}
        unknown = sorted((used | {row.method for row in self.grades.shares}) - set(ids))
        if unknown:
            raise ValueError(f"numbers for methods that the registry does not have: {', '.join(unknown)}")
        return self
