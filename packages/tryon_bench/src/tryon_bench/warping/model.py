"""The network: features of both crops, their correlation, and the 5 x 5 control points of a thin-plate spline."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..tps import control_grid, spline_basis
from .config import WarpNetConfig
from .crops import GARMENT_CHANNELS, PERSON_CHANNELS

GRID = 5
_STEP = 0.1  # of the crop: what one unit of the last layer moves a point, so that first steps do not crumple it


class WarpNet(nn.Module):
    """Regresses where a regular grid of the person's crop lies in the garment's crop (after CP-VTON's GMM, 50 numbers).

    At initialisation the map is the identity of the crops: the garment's box on the target's box.

    Example:
        >>> net = WarpNet(WarpNetConfig(side_px=32, width=4))
        >>> net(torch.zeros(2, 12, 32, 32), torch.zeros(2, 4, 32, 32)).shape
        torch.Size([2, 25, 2])
    """

    basis: Tensor
    grid: Tensor

    def __init__(self, config: WarpNetConfig) -> None:
        super().__init__()
        width, cells = config.width, config.side_px // 8
        self.person = _encoder(PERSON_CHANNELS, width)
        self.garment = _encoder(GARMENT_CHANNELS, width)
        self.match = nn.Sequential(
            nn.Conv2d(cells * cells + 4 * width, 4 * width, 3, padding=1),
            nn.GroupNorm(4, 4 * width),
            nn.ReLU(),
            nn.Conv2d(4 * width, 2 * width, 3, padding=1),
            nn.GroupNorm(4, 2 * width),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.points = nn.Linear(2 * width * cells * cells, 2 * GRID * GRID)
        nn.init.zeros_(self.points.weight)
        nn.init.zeros_(self.points.bias)
        grid = control_grid(GRID)
        self.register_buffer("grid", torch.from_numpy(grid).float(), persistent=False)
        basis = torch.from_numpy(spline_basis(grid, (config.side_px, config.side_px))).float()
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, person: Tensor, garment: Tensor) -> Tensor:
        """Control points.

        Args:
            person: (B, 12, S, S), see `crops.Crops`.
            garment: (B, 4, S, S).

        Returns:
            (B, 25, 2) x and y in 0..1 of the garment's crop, of the grid's points row by row.
        """
        a, b = self.person(person), self.garment(garment)
        a_unit, b_unit = F.normalize(a, dim=1), F.normalize(b, dim=1)
        correlation = torch.einsum("bchw,bcn->bnhw", a_unit, b_unit.flatten(2))
        shift = self.points(self.match(torch.cat([correlation, a], dim=1)))
        return self.grid + _STEP * shift.float().reshape(-1, GRID * GRID, 2)

    def dense(self, points: Tensor) -> Tensor:
        """The spline at every pixel of the person's crop: (B, 25, 2) -> (B, S, S, 2)."""
        side = round(len(self.basis) ** 0.5)
        return torch.einsum("nk,bkd->bnd", self.basis, points).reshape(-1, side, side, 2)


def _encoder(channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for wide in (width, 2 * width, 4 * width):
        layers += [nn.Conv2d(channels, wide, 4, stride=2, padding=1), nn.GroupNorm(4, wide), nn.ReLU()]
        channels = wide
    return nn.Sequential(*layers)
