"""A 4-D breast DCE-MRI phantom with a known answer: anatomy, contrast kinetics, scanner faults.

Signal: S(t) = S0 (1 + A (1 - exp(-alpha t)) exp(-beta t)), t in seconds after the pre-contrast phase; the recipe and
its ranges are ours, none of it is the paper's. Everything is a pure function of (seed, index).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field
from scipy import ndimage

from ._shared.config import FrozenModel
from .data.study import SIDES, Side, Study, mask_center_mm

TIMES_S = (0.0, 90.0, 180.0, 270.0, 360.0, 450.0)
LesionKind = Literal["none", "benign", "malignant"]
KINDS: tuple[LesionKind, ...] = ("none", "benign", "malignant")
# S0, A, alpha (1/s), beta (1/s) of what is the same in every patient.
_TISSUES = {
    "air": (8.0, 0.0, 0.01, 0.0),
    "fat": (60.0, 0.02, 0.01, 0.0),
    "skin": (110.0, 0.25, 0.01, 0.0),
    "muscle": (150.0, 0.2, 0.01, 0.0),
    "heart": (140.0, 2.0, 0.08, 0.0012),
    "vessel": (130.0, 2.0, 0.08, 0.0012),
}


class PhantomConfig(FrozenModel):
    """What is generated; the defaults give two breasts in 64 x 40 x 12 voxels of 4 x 4 x 6 mm."""

    size: tuple[int, int, int] = Field((64, 40, 12), description="voxels along x, y, z")
    spacing_mm: tuple[float, float, float] = (4.0, 4.0, 6.0)
    breasts: Literal["both", "left", "right"] = Field("both", description="breasts inside the field of view")
    malignant_fraction: float = Field(0.5, ge=0, le=1)
    benign_fraction: float = Field(0.5, ge=0, le=1, description="of the studies without cancer")
    times_s: tuple[float, ...] = Field(TIMES_S, min_length=2)
    tilt_deg: float = Field(6.0, ge=0, le=30, description="largest obliqueness of the affine about each axis")
    motion_voxels: float = Field(0.0, ge=0, le=1, description="largest shift of a post-contrast phase")
    noise: tuple[float, float] = Field((4.0, 8.0), description="range of the Rician sigma")
    sites: tuple[str, ...] = Field(("site_a", "site_b"), min_length=1)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The breasts inside the field of view."""
        return SIDES if self.breasts == "both" else (self.breasts,)


@dataclass(frozen=True, eq=False)
class Phantom:
    """A generated study and what is true about it.

    Attributes:
        study: as a loader would give it, breast mask and lesion mask included.
        kind: of the lesion.
        tissue: name -> (X, Y, Z) bool: breast_left, breast_right, gland, vessel, heart, lesion.
        kinetics: A, alpha, beta of the lesion, its radius_mm, and noise-free means of PE1 and SER inside it; empty
            without a lesion.
    """

    study: Study
    kind: LesionKind
    tissue: dict[str, np.ndarray]
    kinetics: dict[str, float]

    def truth(self) -> dict[str, Any]:
        """Plain values for `truth.json`."""
        study = self.study
        volume = float(self.tissue["lesion"].sum() * abs(np.linalg.det(study.affine[:3, :3])))
        return {
            "study_id": study.study_id,
            "patient_id": study.patient_id,
            "site": study.site,
            "kind": self.kind,
            "lesion_side": study.lesion_side,
            "labels": dict(study.labels),
            "labels3": dict(study.labels3),
            "center_mm": None if study.center_mm is None else list(study.center_mm),
            "mask_volume_mm3": volume,
            "times_s": list(study.times_s or ()),
            "kinetics": self.kinetics,
            "affine": study.affine.tolist(),
        }


def phantom_cohort(count: int, *, seed: int = 0, config: PhantomConfig | None = None) -> list[Phantom]:
    """`count` phantoms of one study each, number i depending on (seed, i) only."""
    return [make_phantom(index, seed=seed, config=config) for index in range(count)]


def make_phantom(
    index: int,
    *,
    seed: int = 0,
    config: PhantomConfig | None = None,
    kind: LesionKind | None = None,
    side: Side | None = None,
) -> Phantom:
    """Generate one phantom.

    Args:
        index: number of the study in its cohort.
        seed: of the cohort.
        config: size, kinetics and faults.
        kind: force a lesion kind; None draws it with the cohort's fractions.
        side: force the breast of the lesion.

    Example:
        >>> phantom = make_phantom(0, kind="malignant", side="left")
        >>> phantom.study.phases.shape, phantom.study.labels
        ((6, 64, 40, 12), {'left': 1, 'right': 0})
    """
    config = config or PhantomConfig()
    rng = np.random.default_rng([seed, index, 1906])
    kind = kind or _draw_kind(config, rng)
    drawn = config.sides[int(rng.integers(len(config.sides)))]
    side = side or drawn
    scene = _Scene(config, rng)
    scene.anatomy()
    kinetics = scene.add_lesion(kind, side)
    clean = scene.signal(np.asarray(config.times_s))
    if kinetics:
        kinetics |= _lesion_means(clean, scene.tissue["lesion"])
    site = int(rng.integers(len(config.sites)))
    phases = _degrade(clean, config, rng, gain=1.0 + 0.5 * site)
    affine = _oblique_affine(config, rng)
    return _phantom(index, config, kind, side, scene, kinetics, phases, affine, config.sites[site])


def _phantom(
    index: int,
    config: PhantomConfig,
    kind: LesionKind,
    side: Side,
    scene: _Scene,
    kinetics: dict[str, float],
    phases: np.ndarray,
    affine: np.ndarray,
    site: str,
) -> Phantom:
    lesion = scene.tissue["lesion"]
    found = kind != "none"
    breasts = scene.tissue["breast_left"] + 2 * scene.tissue["breast_right"].astype(np.uint8)
    study = Study(
        f"phantom_{index:04d}",
        f"patient_{index:04d}",
        phases,
        affine,
        tuple(config.times_s),
        {s: int(kind == "malignant" and s == side) for s in config.sides},
        {s: KINDS.index(kind) if s == side else 0 for s in config.sides},
        lesion,
        mask_center_mm(lesion, affine) if found else None,
        side if found else None,
        breasts.astype(np.uint8),
        site,
        {"vendor": "phantom", "field_strength_t": 1.5},
    )
    return Phantom(study, kind, scene.tissue, kinetics)


def _draw_kind(config: PhantomConfig, rng: np.random.Generator) -> LesionKind:
    malignant, benign = rng.random(2)
    if malignant < config.malignant_fraction:
        return "malignant"
    return "benign" if benign < config.benign_fraction else "none"


class _Scene:
    """Maps of S0, A, alpha and beta that fill up tissue by tissue; coordinates in mm from the volume's corner."""

    def __init__(self, config: PhantomConfig, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        size, spacing = np.array(config.size), np.array(config.spacing_mm)
        self.extent = size * spacing
        self.axes = [(np.arange(n) + 0.5) * s for n, s in zip(size, spacing, strict=True)]
        self.x, self.y, self.z = np.meshgrid(*self.axes, indexing="ij", sparse=True)
        self.maps = np.empty((4, *config.size), np.float32)
        empty = np.zeros(config.size, bool)
        names = ("breast_left", "breast_right", "gland", "vessel", "heart", "lesion")
        self.tissue = {name: empty.copy() for name in names}
        self.centers: dict[Side, np.ndarray] = {}
        self.radii = np.zeros(3)

    def paint(self, mask: np.ndarray, values: tuple[float, float, float, float]) -> None:
        for target, value in zip(self.maps, values, strict=True):
            target[mask] = value

    def anatomy(self) -> None:
        """Air, chest slab with heart, breasts with skin, gland and vessels."""
        rng, extent = self.rng, self.extent
        wall = rng.uniform(0.34, 0.40) * extent[1]
        count = len(self.config.sides)
        self.radii = np.array([0.21 if count == 2 else 0.42, 0.52, 0.46]) * extent * rng.uniform(0.92, 1.06, 3)
        self.radii[1] = min(self.radii[1], extent[1] * 0.96 - wall)
        places = {"left": 0.27, "right": 0.73} if count == 2 else dict.fromkeys(self.config.sides, 0.5)
        self.centers = {s: np.array([places[s] * extent[0], wall, extent[2] / 2]) for s in self.config.sides}
        whole = np.ones(self.config.size, bool)
        self.paint(whole, _TISSUES["air"])
        for side, center in self.centers.items():
            self._breast(side, center)
        chest = (self.y < wall) & whole
        self.paint(chest & (self.y > wall - 4), _TISSUES["fat"])
        self.paint(chest & (self.y <= wall - 4), _TISSUES["muscle"])
        self._heart(wall)

    def _ellipsoid(self, center: np.ndarray, radii: np.ndarray) -> np.ndarray:
        x, y, z = ((axis - c) / r for axis, c, r in zip((self.x, self.y, self.z), center, radii, strict=True))
        return np.sqrt(x * x + y * y + z * z)

    def _breast(self, side: Side, center: np.ndarray) -> None:
        rng = self.rng
        rho = self._ellipsoid(center, self.radii)
        inside = (rho <= 1) & (self.y >= center[1])
        self.tissue[f"breast_{side}"] |= inside
        self.paint(inside, _TISSUES["fat"])
        self.paint(inside & (rho > 1 - 3 / self.radii.min()), _TISSUES["skin"])
        inner = inside & (rho < 0.6 ** (1 / 3))  # the inner 60 % of the volume
        noise = self._smooth_noise(7.2)
        level = np.quantile(noise[inner], rng.uniform(0.4, 0.8)) if inner.any() else 0.0
        gland = inner & (noise > level)
        self.tissue["gland"] |= gland
        self.paint(gland, (190.0, rng.uniform(0.05, 0.35), 0.004, 0.0))
        for _ in range(int(rng.integers(1, 4))):
            vessel = self._vessel(center) & inside
            self.tissue["vessel"] |= vessel
            self.paint(vessel, _TISSUES["vessel"])

    def _smooth_noise(self, sigma_mm: float) -> np.ndarray:
        """White noise blurred with `sigma_mm` and brought to unit variance."""
        sigma = sigma_mm / np.array(self.config.spacing_mm)
        noise = ndimage.gaussian_filter(self.rng.standard_normal(self.config.size, np.float32), sigma)
        return noise / max(float(noise.std()), 1e-6)

    def _vessel(self, center: np.ndarray) -> np.ndarray:
        """A random walk of one voxel's width from the chest wall towards the nipple."""
        rng, spacing = self.rng, np.array(self.config.spacing_mm)
        point = center + self.radii * np.array([rng.uniform(-0.6, 0.6), 0.02, rng.uniform(-0.5, 0.5)])
        steps = rng.normal(0, 0.7, (60, 3)) + np.array([0, 0.6, 0])
        path = np.rint((point + np.cumsum(steps * 2.0, 0)) / spacing - 0.5).astype(int)
        path = path[((path >= 0) & (path < self.config.size)).all(1)]
        mask = np.zeros(self.config.size, bool)
        mask[tuple(path.T)] = True
        return mask

    def _heart(self, wall: float) -> None:
        """Strong enhancement behind the chest wall, left of the middle: the brightest thing that is no lesion."""
        place = 0.5 if len(self.centers) == 1 else 0.4
        center = np.array([place * self.extent[0], 0.35 * wall, 0.4 * self.extent[2]])
        heart = (self._ellipsoid(center, np.array([38.0, 0.45 * wall, 30.0])) <= 1) & (self.y < wall - 8)
        self.tissue["heart"] |= heart
        self.paint(heart, _TISSUES["heart"])

    def add_lesion(self, kind: LesionKind, side: Side) -> dict[str, float]:
        """Paint a lesion and return its kinetics; without one, nothing is drawn from the generator."""
        if kind == "none":
            return {}
        rng = self.rng
        radius = rng.uniform(6, 12)
        center = self._lesion_center(side, radius)
        distance = self._ellipsoid(center, np.ones(3))
        border = radius
        if kind == "malignant":
            border = radius * (1 + 0.2 * self._smooth_noise(5.0)).clip(0.7, 1.4)
        mask = (distance <= border) & self.tissue[f"breast_{side}"]
        mask |= distance == distance.min()
        if kind == "malignant":
            law = (rng.uniform(1.4, 2.2), rng.uniform(0.03, 0.06), rng.uniform(0.0009, 0.0018))
        else:
            law = (rng.uniform(0.7, 1.3), rng.uniform(0.005, 0.010), 0.0)
        self.tissue["lesion"] |= mask
        self.paint(mask, (170.0, *law))
        if kind == "malignant":
            core = mask & (distance <= 0.5 * border)
            self.maps[1][core] *= rng.uniform(0.5, 0.9)
        return {"radius_mm": radius, "A": law[0], "alpha": law[1], "beta": law[2]}

    def _lesion_center(self, side: Side, radius: float) -> np.ndarray:
        """Uniform in the breast, the whole sphere inside of it."""
        rng, center = self.rng, self.centers[side]
        room = np.maximum(self.radii - radius * 1.2, 0)
        while True:
            point = rng.uniform(-1, 1, 3)
            point[1] = abs(point[1])
            if (point**2).sum() <= 1:
                place = center + point * room
                place[1] = max(place[1], center[1] + radius)
                return place

    def signal(self, times_s: np.ndarray) -> np.ndarray:
        """(P, X, Y, Z) noise-free signal."""
        base, amplitude, alpha, beta = self.maps
        t = times_s.astype(np.float32)[:, None, None, None]
        return base * (1 + amplitude * (1 - np.exp(-alpha * t)) * np.exp(-beta * t))


def _lesion_means(clean: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
    """Noise-free PE1 = (S1 - S0) / S0 and SER = (S1 - S0) / (Slast - S0) of the mean curve of the lesion."""
    curve = clean[:, lesion].mean(1)
    return {
        "pe1": float((curve[1] - curve[0]) / curve[0]),
        "ser": float((curve[1] - curve[0]) / (curve[-1] - curve[0])),
    }


def _degrade(clean: np.ndarray, config: PhantomConfig, rng: np.random.Generator, gain: float) -> np.ndarray:
    """Blur, bias field, motion, Rician noise and rounding to the integers a scanner stores."""
    sigma_blur, sigma_noise = rng.uniform(0.4, 0.6), rng.uniform(*config.noise)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in config.size), indexing="ij", sparse=True)
    c = rng.normal(0, 0.12, 9)
    bias = np.exp(
        sum(a * b for a, b in zip(c, (x, y, z, x * x, y * y, z * z, x * y, x * z, y * z), strict=True))
    ).astype(np.float32)
    phases = ndimage.gaussian_filter(clean, (0, sigma_blur, sigma_blur, sigma_blur), truncate=3.0) * bias
    for number in range(1, len(phases)):
        shift = rng.uniform(-1, 1, 3) * config.motion_voxels
        if config.motion_voxels:
            phases[number] = ndimage.shift(phases[number], shift, order=1, mode="nearest")
    real, imaginary = rng.standard_normal((2, *phases.shape), np.float32) * np.float32(sigma_noise)
    return np.rint(np.hypot(phases + real, imaginary) * gain).clip(0, 65535).astype(np.float32)


def _oblique_affine(config: PhantomConfig, rng: np.random.Generator) -> np.ndarray:
    """RAS+ affine with small rotations about each axis; the middle of the volume lies near the scanner's centre."""
    a, b, c = np.deg2rad(rng.uniform(-config.tilt_deg, config.tilt_deg, 3))
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_y @ about_x @ np.diag(config.spacing_mm)
    middle = (np.array(config.size) - 1) / 2
    affine[:3, 3] = rng.uniform(-20, 20, 3) - affine[:3, :3] @ middle
    return affine
