"""Detection with the YOLOv3-style head of the published protocol (section 2.3 of the spec; Redmon and Farhadi 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms

from .._shared.errors import ConfigError
from .backbone import FeatureMaps
from .config import HeadConfig

# Width and height of YOLOv3's nine boxes, pixels of a 416 image, three per stride 8, 16, 32.
ANCHORS_416 = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
POSITION_WEIGHT, NEGATIVE_WEIGHT, IGNORE_IOU = 2.5, 0.5, 0.5


class YOLODetector(nn.Module):
    """Three maps, three anchors each; per anchor x, y, w, h, confidence and K classes.

    Losses: BCE of the place in the cell and squared error of the log size (x 2.5), BCE of the confidence (negatives x
    0.5, anchors that overlap a box by more than 0.5 without being the best ignored), BCE of the class at positives.

    Raises:
        ConfigError: the backbone has maps of fewer than three strides.
    """

    anchors: Tensor

    def __init__(self, maps: FeatureMaps, classes: int, config: HeadConfig) -> None:
        super().__init__()
        if len(maps.levels) < len(ANCHORS_416):
            raise ConfigError(
                f"head.kind yolo: expected a backbone with maps of 3 strides, got {len(maps.levels)}; choose fcos"
            )
        self.maps, self.classes, self.config = maps, classes, config
        self.strides = [maps.strides[level] for level in maps.levels]
        scale = maps.side_px / 416
        self.register_buffer("anchors", torch.tensor(ANCHORS_416) * scale)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(c, 2 * config.width, 3, padding=1),
                nn.BatchNorm2d(2 * config.width),
                nn.LeakyReLU(0.1),
                nn.Conv2d(2 * config.width, 3 * (5 + classes), 1),
            )
            for c in (maps.channels[level] for level in maps.levels)
        )
        for head in self.heads:  # confidence starts low: nearly every anchor is empty
            nn.init.constant_(head[-1].bias.view(3, -1)[:, 4].data, -3.0)  # type: ignore[index]  # a Sequential

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Losses of a batch; arguments as in `FCOSDetector.losses`."""
        outputs = self._outputs(images)
        wanted = [self._targets(level, output, targets) for level, output in enumerate(outputs)]
        total = max(1, sum(int(w["positive"].sum()) for w in wanted))
        place = size = empty = full = kind = images.new_zeros(())
        for output, want in zip(outputs, wanted, strict=True):
            positive = want["positive"]
            if positive.any():
                hit, goal = output[positive], want["values"][positive]
                place = place + F.binary_cross_entropy_with_logits(hit[:, :2], goal[:, :2], reduction="sum")
                size = size + F.mse_loss(hit[:, 2:4], goal[:, 2:4], reduction="sum")
                full = full + F.binary_cross_entropy_with_logits(
                    hit[:, 4], torch.ones_like(hit[:, 4]), reduction="sum"
                )
                kind = kind + F.binary_cross_entropy_with_logits(hit[:, 5:], goal[:, 5:], reduction="sum")
            silent = output[want["negative"]][:, 4]
            empty = empty + F.binary_cross_entropy_with_logits(silent, torch.zeros_like(silent), reduction="sum")
        parts = {
            "place": POSITION_WEIGHT * (place + size) / total,
            "confidence": (full + NEGATIVE_WEIGHT * empty) / total,
            "class": kind / total,
        }
        return {"loss": sum(parts.values(), start=images.new_zeros(())), **parts}

    @torch.no_grad()
    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Per image "boxes" (n, 4) in pixels, "scores" (n,) and "labels" (n,)."""
        self.eval()
        decoded = [self._decode(level, output) for level, output in enumerate(self._outputs(images))]
        boxes, scores = (torch.cat([d[i] for d in decoded], 1) for i in (0, 1))
        found = []
        for box, score in zip(boxes, scores, strict=True):
            best, label = score.max(-1)
            kept = best >= self.config.score_cut
            box, best, label = box[kept], best[kept], label[kept]
            order = batched_nms(box, best, label, self.config.nms_iou)[: self.config.max_boxes]
            found.append({"boxes": box[order], "scores": best[order], "labels": label[order]})
        return found

    def _outputs(self, images: Tensor) -> list[Tensor]:
        """Per level (B, 3, rows, columns, 5 + K)."""
        outputs = []
        every = self.maps(images)
        for head, level in zip(self.heads, self.maps.levels, strict=True):
            raw = head(every[level])
            outputs.append(raw.view(len(raw), 3, -1, *raw.shape[-2:]).permute(0, 1, 3, 4, 2))
        return outputs

    def _decode(self, level: int, output: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (B, n, 4) and scores (B, n, K) of one level."""
        batch, _, rows, columns, _ = output.shape
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        cell = torch.stack([x, y], -1).to(output)
        centre = (output[..., :2].sigmoid() + cell) * self.strides[level]
        size = output[..., 2:4].clamp(max=8).exp() * self.anchors[level][None, :, None, None]
        boxes = torch.cat([centre - size / 2, centre + size / 2], -1).clamp(0, self.maps.side_px)
        scores = output[..., 4:5].sigmoid() * output[..., 5:].sigmoid()
        return boxes.reshape(batch, -1, 4), scores.reshape(batch, -1, self.classes)

    def _targets(self, level: int, output: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Which anchors of a level are positive or negative, and what the positive ones should say."""
        values = torch.zeros_like(output)
        positive = torch.zeros(output.shape[:-1], dtype=torch.bool, device=output.device)
        ignored = torch.zeros_like(positive)
        rows, columns = output.shape[2:4]
        stride = self.strides[level]
        flat = self.anchors.reshape(-1, 2)
        for image, target in enumerate(targets):
            for box, label in zip(target["boxes"], target["labels"], strict=True):
                size = (box[2:] - box[:2]).clamp_min(1e-3)
                common = torch.minimum(flat, size).prod(-1)
                overlap = common / (flat.prod(-1) + size.prod() - common)
                centre = (box[:2] + box[2:]) / 2 / stride
                column, row = int(centre[0].clamp(0, columns - 1)), int(centre[1].clamp(0, rows - 1))
                for anchor in range(3):
                    number = 3 * level + anchor
                    if number == int(overlap.argmax()):
                        positive[image, anchor, row, column] = True
                        entry = values[image, anchor, row, column]
                        entry[:2] = (centre - torch.tensor([column, row]).to(centre)).clamp(0, 1)
                        entry[2:4] = torch.log(size / self.anchors[level][anchor])
                        entry[5:] = 0
                        entry[5 + int(label)] = 1
                    elif overlap[number] > IGNORE_IOU:
                        ignored[image, anchor, row, column] = True
        return {"positive": positive, "negative": ~positive & ~ignored, "values": values}
