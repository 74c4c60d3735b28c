"""Detection with torchvision's FCOS head (Tian et al. 2019) on the tower's pyramid."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

from .backbone import FeatureMaps, Pyramid
from .config import HeadConfig


class FCOSDetector(nn.Module):
    """Boxes of K classes; losses of torchvision, images as they are given (no resize, no normalisation)."""

    def __init__(self, maps: FeatureMaps, classes: int, config: HeadConfig) -> None:
        super().__init__()
        pyramid = Pyramid(maps, config.width)
        self.net = FCOS(
            pyramid,
            num_classes=classes,
            min_size=maps.side_px,
            max_size=maps.side_px,
            image_mean=[0.0],
            image_std=[1.0],
            anchor_generator=AnchorGenerator(
                tuple((s,) for s in pyramid.strides), ((1.0,),) * len(pyramid.strides)
            ),
            score_thresh=config.score_cut,
            nms_thresh=config.nms_iou,
            detections_per_img=config.max_boxes,
            size_divisible=1,  # no padding: a transformer takes its own side only
        )

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            images: (B, 1, S, S).
            targets: per image "boxes" (n, 4) in pixels and "labels" (n,) from 0.
        """
        parts = self.net(list(images), targets)
        return {"loss": sum(parts.values(), start=images.new_zeros(())), **parts}

    @torch.no_grad()
    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Per image "boxes" (n, 4) in pixels, "scores" (n,) and "labels" (n,)."""
        self.eval()
        found: list[dict[str, Tensor]] = self.net(list(images))
        return found
