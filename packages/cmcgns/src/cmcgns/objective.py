"""Batch -> losses: the encoder with everything that only training needs."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ._shared.engine.distributed import rank, world_size
from .cluster import OnlineKMeans, assign
from .config import Config, LossConfig
from .decoder import MaskedReconstruction
from .gather import gather_ragged, gather_rows
from .gradcache import in_chunks
from .layers import Predictor, Temperature
from .losses import (
    convirt_loss,
    gloria_scores,
    image_contrast,
    info_nce,
    patch_loss,
    patch_pixels,
    prototype_loss,
    reconstruction_loss,
    report_loss,
    score_contrast,
    within_pair_contrast,
)
from .model import CMCGNS, ImageFeatures, TextFeatures
from .ragged import Ragged
from .statistics import cluster_statistics
from .tokens import Tokens

Batch = dict[str, Tensor]
Parts = dict[str, Tensor]


class Objective(nn.Module):
    """Encoder plus losses of one method. Calling it gives "loss" and its parts, scalars of the global batch.

    A batch has `image` (B, C, S, S) in [-1, 1], `input_ids`, `attention_mask`, `sentence_ids` (B, L) and, in stage II,
    `mask` (B, P) bool. Under several processes each gets its part of the batch; the mean of the losses over the
    processes is the loss of the whole batch, and so are the gradients.
    """

    def __init__(self, model: CMCGNS, config: Config) -> None:
        super().__init__()
        self.model = model
        self.config = config

    def forward(self, batch: Batch) -> Parts:
        """Losses of one batch."""
        images, texts = self.encode(batch)
        with torch.autocast(images.pooled.device.type, enabled=False):  # logits need more than eight bits
            images, texts = _as_float(images, texts)
            parts = self.parts(images, texts, batch)
            weights = self.weights()
            total = torch.stack([weights[name] * parts[name] for name in weights if name in parts]).sum()
        return {"loss": total, **parts}

    def encode(self, batch: Batch) -> tuple[ImageFeatures, TextFeatures]:
        """Features of both towers, chunk by chunk where `config.chunk` is set."""
        chunk = self.config.chunk
        tokens = [batch["input_ids"], batch["attention_mask"], batch["sentence_ids"]]

        def texts(*part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            pooled, sentences = self.model.encode_text(Tokens(*part))
            return pooled, sentences.values, sentences.counts

        pooled, patches, grids = zip(
            *in_chunks(self.model.encode_image, [batch["image"]], chunk, self.model), strict=True
        )
        reports, values, counts = zip(*in_chunks(texts, tokens, chunk, self.model), strict=True)
        return (
            ImageFeatures(torch.cat(pooled), torch.cat(patches), grids[0]),
            TextFeatures(torch.cat(reports), Ragged(torch.cat(values), torch.cat(counts))),
        )

    @abstractmethod
    def parts(self, images: ImageFeatures, texts: TextFeatures, batch: Batch) -> Parts:
        """Losses by name, and numbers that are logged only."""

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Weight of each loss in the sum."""

    def whole_contrast(self, images: ImageFeatures, texts: TextFeatures) -> Tensor:
        """InfoNCE of all images and reports of the global batch, this rank's share times the number of ranks."""
        a, b, rows = self.gathered(images, texts)
        return world_size_of(self) * info_nce(a, b, self.model.global_temperature(), rows=rows)

    def gathered(self, images: ImageFeatures, texts: TextFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Global vectors of all ranks, and which are this rank's."""
        if world_size_of(self) == 1:
            return images.pooled, texts.pooled, torch.arange(len(images.pooled), device=images.pooled.device)
        rows = torch.arange(len(images.pooled), device=images.pooled.device) * world_size() + rank()
        return gather_rows(images.pooled), gather_rows(texts.pooled), rows


class CMCGNSObjective(Objective):
    """Image-report contrast, SimSiam of patches, cluster-guided contrast of sentences; in stage II also CM-MIR."""

    def __init__(self, model: CMCGNS, config: Config, *, stage: int) -> None:
        super().__init__(model, config)
        settings = config.clusters
        self.predictor = Predictor(model.config.dim)
        self.clusters = OnlineKMeans(
            model.config.dim, seed=config.stage1.seed, **settings.model_dump(exclude={"points"})
        )
        self.decoder: MaskedReconstruction | None = None
        if stage == 2:
            form = config.reconstruction
            self.decoder = MaskedReconstruction(
                model.config.dim,
                model.image.probe_grid(),
                model.image.side_px,
                depth=form.depth,
                heads=form.heads,
                report=form.report,
            )

    def weights(self) -> dict[str, float]:
        """Weight of each loss in the sum."""
        loss = self.config.loss
        given = {"global": loss.global_weight, "patches": loss.patch_weight, "report": loss.report_weight}
        given["images"] = loss.image_weight
        if self.decoder is not None:
            given["reconstruction"] = loss.reconstruction_weight
        return {name: weight for name, weight in given.items() if weight > 0}

    def parts(self, images: ImageFeatures, texts: TextFeatures, batch: Batch) -> Parts:
        """The losses of section 1.1 whose weight is not 0."""
        weights, found = self.weights(), {}
        conditioned, cross = self.model.cross(images.patches, texts.sentences)
        if "global" in weights:
            found["global"] = self.whole_contrast(images, texts)
        if "patches" in weights:
            found["patches"] = patch_loss(images.patches, conditioned, self.predictor)
        if "report" in weights or "images" in weights:
            found |= self._sentences(images.patches, texts.sentences, cross)
        if self.decoder is not None and "reconstruction" in weights:
            predicted = self.decoder(images.patches, batch["mask"], texts.sentences, conditioned)
            found |= self._reconstruct(predicted, images, batch)
        return found

    def _sentences(self, patches: Tensor, sentences: Ragged, cross: Tensor) -> Parts:
        """Both contrasts of the sentences of all ranks, by the centres of this step."""
        both = [sentences, Ragged(cross, sentences.counts)]
        rows = None
        if world_size_of(self) > 1:
            both, rows = gather_ragged(*both)
        whole, seen = both
        centroids = self._centroids(whole.values, seen.values) if self.config.loss.cluster_guided else None
        found: Parts = {}
        if "report" in self.weights():
            found |= self._report(whole.values, seen.values, centroids, rows)
        if "images" in self.weights():
            found["images"] = self._image_contrast(patches, whole, centroids)
        return found

    def _report(self, z1: Tensor, z2: Tensor, centroids: Tensor | None, rows: Tensor | None) -> Parts:
        """Sentences against their image-conditioned counterparts."""
        loss: LossConfig = self.config.loss
        official = loss.variant == "official"
        value = report_loss(
            z1,
            z2,
            centroids,
            variant=loss.variant,
            hard_weight=loss.hard_weight,
            temperature=1.0 if official else 1 / self.model.local_temperature(),
            false_negatives=loss.false_negatives,
            symmetric=loss.symmetric and not official,
            hard_negatives=loss.hard_negatives,
            assign_space=loss.assign_space,
            false_negative_weight=loss.false_negative_weight,
            bml_weight=loss.bml_weight,
            rows=rows,
        )
        statistics = cluster_statistics(z1, z2, centroids, loss.assign_space)
        return {"report": world_size_of(self) * value, **statistics}

    def _image_contrast(self, patches: Tensor, sentences: Ragged, centroids: Tensor | None) -> Tensor:
        """Own image against the others for every sentence; films whose report says the same are left out."""
        scores = self.model.cross.agreement(patches, sentences.values)
        scores = gather_rows(scores) if world_size_of(self) > 1 else scores
        groups = None if centroids is None else assign(sentences.values.detach(), centroids)
        return image_contrast(scores, sentences.owners(), self.model.local_temperature(), groups)

    def _centroids(self, z1: Tensor, z2: Tensor) -> Tensor | None:
        """Update the clusters (in training) and take the centres, None before they start."""
        pair_cosine = None
        if self.clusters.start == "cosine":
            pair_cosine = float(nn.functional.cosine_similarity(z1.detach(), z2.detach()).mean())
        self.clusters.update(z2 if self.config.clusters.points == "cross" else z1, pair_cosine)
        return self.clusters.active() if self.clusters.started else None

    def _reconstruct(self, predicted: Tensor, images: ImageFeatures, batch: Batch) -> Parts:
        form = self.config.reconstruction
        target = patch_pixels(batch["image"], images.grid, form.target)
        with torch.no_grad():
            everywhere = reconstruction_loss(predicted, target, batch["mask"], "all")
            hidden = reconstruction_loss(predicted, target, batch["mask"], "masked")
        value = reconstruction_loss(predicted, target, batch["mask"], form.loss_on)
        return {"reconstruction": value, "l1_masked": hidden, "l1_all": everywhere}


class ConVIRTObjective(Objective):
    """ConVIRT (Zhang et al. 2022): one contrast of wholes, 3 : 1, temperature fixed at 0.1."""

    def weights(self) -> dict[str, float]:
        """Weight of each loss in the sum."""
        return {"global": 1.0}

    def parts(self, images: ImageFeatures, texts: TextFeatures, batch: Batch) -> Parts:
        """The one loss."""
        a, b, rows = self.gathered(images, texts)
        return {"global": world_size_of(self) * convirt_loss(a, b, rows=rows)}


class GLoRIAObjective(Objective):
    """GLoRIA (Huang et al. 2021): contrast of wholes, and of local scores of all images with all reports."""

    def weights(self) -> dict[str, float]:
        """Weight of each loss in the sum."""
        return {"global": 1.0, "local": 1.0}

    def parts(self, images: ImageFeatures, texts: TextFeatures, batch: Batch) -> Parts:
        """Both losses."""
        sentences = texts.sentences
        if world_size_of(self) > 1:
            (sentences,), _ = gather_ragged(sentences)
        scores = gloria_scores(images.patches, sentences)
        scores = gather_rows(scores) if world_size_of(self) > 1 else scores
        local = score_contrast(scores * self.model.local_temperature() / 5.0)  # the scores carry a factor 5
        return {"global": self.whole_contrast(images, texts), "local": local}


class MGCAObjective(Objective):
    """MGCA (Wang et al. 2022): contrast of wholes, of parts inside each pair, and of prototypes."""

    def __init__(self, model: CMCGNS, config: Config, *, prototypes: int = 500) -> None:
        super().__init__(model, config)
        self.prototypes = nn.Parameter(torch.empty(prototypes, model.config.dim).normal_())
        self.part_temperature = Temperature(0.1)

    def weights(self) -> dict[str, float]:
        """Weight of each loss in the sum."""
        return {"global": 1.0, "parts": 1.0, "prototypes": 1.0}

    def parts(self, images: ImageFeatures, texts: TextFeatures, batch: Batch) -> Parts:
        """The three losses."""
        conditioned, cross = self.model.cross(images.patches, texts.sentences)
        patches = Ragged(
            images.patches.flatten(0, 1),
            texts.sentences.counts.new_full(conditioned.shape[:1], conditioned.shape[1]),
        )
        scale = self.part_temperature()
        own = within_pair_contrast(patches, conditioned.flatten(0, 1), scale)
        other = within_pair_contrast(texts.sentences, cross, scale)
        a, b, _ = self.gathered(images, texts)
        return {
            "global": self.whole_contrast(images, texts),
            "parts": (own.mean() + other.mean()) / 2,
            "prototypes": prototype_loss(a, b, self.prototypes),
        }


def build_objective(model: CMCGNS, config: Config, stage: int = 1) -> Objective:
    """The objective of the configured method, its own weights decided by torch's generator."""
    if config.loss.method == "cmcgns":
        return CMCGNSObjective(model, config, stage=stage)
    kinds: dict[str, Any] = {"convirt": ConVIRTObjective, "gloria": GLoRIAObjective, "mgca": MGCAObjective}
    objective: Objective = kinds[config.loss.method](model, config)
    return objective


def freeze_unreached(objective: Objective, batch: Batch) -> list[str]:
    """Take parameters that no loss reaches out of training; DistributedDataParallel would wait for their gradients.

    Which these are depends on method, weights and backbones, so it is found by one backward pass; buffers and random
    numbers stay as they were.

    Returns:
        Names of the parameters.
    """
    buffers = [(buffer, buffer.clone()) for buffer in objective.buffers()]
    training = objective.training
    with torch.random.fork_rng(devices=[]):
        objective.train()(batch)["loss"].backward()
    frozen = [name for name, value in objective.named_parameters() if value.requires_grad and value.grad is None]
    for name, value in objective.named_parameters():
        value.requires_grad_(value.requires_grad and name not in frozen)
        value.grad = None
    for buffer, before in buffers:
        buffer.copy_(before)
    objective.train(training)
    return frozen


def world_size_of(objective: nn.Module) -> int:
    """Number of processes that share a batch: all in training, one in validation, which rank 0 does alone."""
    return world_size() if objective.training else 1


def _as_float(images: ImageFeatures, texts: TextFeatures) -> tuple[ImageFeatures, TextFeatures]:
    """Half precision -> float32; wider types stay."""

    def wide(x: Tensor) -> Tensor:
        return x.to(torch.promote_types(x.dtype, torch.float32))

    sentences = texts.sentences._replace(values=wide(texts.sentences.values))
    return (
        images._replace(pooled=wide(images.pooled), patches=wide(images.patches)),
        TextFeatures(wide(texts.pooled), sentences),
    )
