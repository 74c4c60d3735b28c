"""Feature extractors by name: what a distribution metric looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .._shared.assets import asset_path
from .._shared.errors import CheckpointError, ConfigError
from .._shared.foreign import read_foreign_weights
from ..resize import InceptionResizer, resize_for_inception
from .weights import CLIP_B32, CLIP_L14_336, DINOV2_L14, WeightFile, find_weights

ExtractorName = Literal[
    "inception_clean",
    "inception_pytorch_fid",
    "inception_torch_fidelity",
    "inception_torchmetrics",
    "clip_b32",
    "clip_l14_336",
    "dinov2_l14",
    "effnet_lite0",
]


@dataclass(frozen=True)
class Extractor:
    """Images to features.

    Attributes:
        name: one of `ExtractorName`.
        weights: file and checksum, or `random(seed)`.
        prepare: (H, W, 3) uint8 -> (3, h, w) float32, one image.
        network: (B, 3, h, w) -> (B, d).
        logits: (B, 3, h, w) -> features and class logits, for IS; None where there are none.
        device: where the network is.
    """

    name: str
    weights: str
    prepare: Callable[[NDArray[np.uint8]], Tensor]
    network: Callable[[Tensor], Tensor]
    logits: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    device: str = "cpu"

    def __call__(self, images: Sequence[NDArray[np.uint8]], batch_size: int = 8) -> NDArray[np.float32]:
        """Features of n images of any sizes: (n, d) float32."""
        return np.concatenate(
            [self.network(batch).float().cpu().numpy() for batch in self._batches(images, batch_size)]
        )

    def features_and_logits(
        self, images: Sequence[NDArray[np.uint8]], batch_size: int = 8
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features (n, d) and class logits (n, classes) in one pass.

        Raises:
            ConfigError: the network has no classes.
        """
        if self.logits is None:
            raise ConfigError(f"{self.name}: has no class logits; the inception score needs Inception")
        parts = [self.logits(batch) for batch in self._batches(images, batch_size)]
        features, logits = (np.concatenate([part[i].float().cpu().numpy() for part in parts]) for i in (0, 1))
        return features, logits

    def _batches(self, images: Sequence[NDArray[np.uint8]], batch_size: int) -> Iterator[Tensor]:
        with torch.inference_mode():
            for start in range(0, len(images), batch_size):
                batch = torch.stack([self.prepare(image) for image in images[start : start + batch_size]])
                yield batch.to(self.device, memory_format=torch.channels_last)


def load_extractor(
    name: ExtractorName, *, weights_dir: Path | None = None, random_seed: int | None = None, device: str = "cpu"
) -> Extractor:
    """Build an extractor.

    Args:
        name: "effnet_lite0" takes its weights from the asset `efficientnet-lite0`, the others from the user's folder.
        weights_dir: folder of published weight files.
        random_seed: take seeded random weights instead; numbers are then NOT COMPARABLE.
        device: where the network runs.

    Raises:
        CheckpointError: a weight file is missing or another one.
        DataError: the asset is not on this machine.
    """
    extractor = _build(name, weights_dir, random_seed)
    for part in (extractor.network, extractor.logits):
        module = part if isinstance(part, nn.Module) else getattr(part, "__self__", None)
        if isinstance(module, nn.Module):
            module.to(device)
    return replace(extractor, device=device)


def _build(name: ExtractorName, weights_dir: Path | None, random_seed: int | None) -> Extractor:
    if name.startswith("inception_"):
        kind: Any = name.removeprefix("inception_")
        return _inception(name, kind, weights_dir, random_seed)
    builders: dict[str, Callable[[Path | None, int | None], Extractor]] = {
        "clip_b32": lambda folder, seed: _clip("clip_b32", "ViT-B-32-quickgelu", CLIP_B32, folder, seed),
        "clip_l14_336": lambda folder, seed: _clip(
            "clip_l14_336", "ViT-L-14-336-quickgelu", CLIP_L14_336, folder, seed
        ),
        "dinov2_l14": _dinov2,
        "effnet_lite0": _effnet,
    }
    return builders[name](weights_dir, random_seed)


def _inception(name: str, kind: InceptionResizer, weights_dir: Path | None, seed: int | None) -> Extractor:
    from .inception import FIDInception

    network = FIDInception(weights_dir=weights_dir, random_seed=seed).fused().to(memory_format=torch.channels_last)

    def prepare(image: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(resize_for_inception(image, kind), 2, 0)))

    return Extractor(name, network.weights, prepare, network.pooled, network)


def _clip(name: str, model_name: str, wanted: WeightFile, weights_dir: Path | None, seed: int | None) -> Extractor:
    """CLIP's image tower through open_clip, embeddings as they come (not normalised)."""
    import open_clip
    from torchvision import transforms as T

    path, digest = (None, "") if seed is not None else find_weights(wanted, weights_dir)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        model = open_clip.create_model(model_name, pretrained=None if path is None else str(path))
    model.requires_grad_(False).eval()
    side = model.visual.image_size[0] if isinstance(model.visual.image_size, tuple) else model.visual.image_size
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    prepare = _squared(side, mean, std, T.InterpolationMode.BICUBIC)
    stamp = f"random({seed})" if path is None else f"{path.name}:{digest[:16]}"
    return Extractor(name, stamp, prepare, model.encode_image)


def _dinov2(weights_dir: Path | None, seed: int | None) -> Extractor:
    """DINOv2 ViT-L/14 without registers: class token after the last norm, 224 px."""
    import timm
    from timm.models.vision_transformer import checkpoint_filter_fn
    from torchvision import transforms as T

    model = _seeded(
        lambda: timm.create_model("vit_large_patch14_dinov2", pretrained=False, num_classes=0, img_size=224), seed
    )
    stamp = f"random({seed})"
    if seed is None:
        path, digest = find_weights(DINOV2_L14, weights_dir)
        try:
            model.load_state_dict(checkpoint_filter_fn(read_foreign_weights(path), model))
        except (RuntimeError, KeyError) as err:
            raise CheckpointError(
                f"{path.name}: its tensors are not those of DINOv2 ViT-L/14; get the file again"
            ) from err
        stamp = f"{path.name}:{digest[:16]}"
    prepare = _squared(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), T.InterpolationMode.BICUBIC)
    return Extractor("dinov2_l14", stamp, prepare, model.requires_grad_(False).eval())


def _effnet(_: Path | None, seed: int | None) -> Extractor:
    """EfficientNet-lite0 (ImageNet): 1280 pooled features, real weights that an ordinary package carries."""
    import timm
    from torchvision import transforms as T

    model = _seeded(lambda: timm.create_model("tf_efficientnet_lite0", pretrained=False), seed)
    stamp = f"random({seed})"
    if seed is None:
        path = next(asset_path("efficientnet-lite0").rglob("*.pth"))
        _load_in_order(model, read_foreign_weights(path), path.name)
        stamp = path.name
    model.reset_classifier(0)
    prepare = _squared(224, (0.498, 0.498, 0.498), (0.502, 0.502, 0.502), T.InterpolationMode.BICUBIC)
    return Extractor("effnet_lite0", stamp, prepare, model.requires_grad_(False).eval())


def _seeded(build: Callable[[], Any], seed: int | None) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        return build()


def _load_in_order(model: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """The file's tensors have other names than timm's, but the same order and shapes."""
    ours = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    theirs = [v for k, v in state.items() if not k.endswith("num_batches_tracked")]
    if [tuple(v.shape) for v in ours.values()] != [tuple(v.shape) for v in theirs]:
        raise CheckpointError(f"{name}: its tensors are not those of EfficientNet-lite0; fetch the asset again")
    model.load_state_dict(dict(zip(ours, theirs, strict=True)), strict=False)


def _squared(
    side: int, mean: Sequence[float], std: Sequence[float], interpolation: Any
) -> Callable[[NDArray[np.uint8]], Tensor]:
    """Whole image into the square (its proportions change: a crop would cut off head and hem), then normalised."""
    from torchvision import transforms as T

    steps = T.Compose(
        [T.ToTensor(), T.Resize((side, side), interpolation, antialias=True), T.Normalize(list(mean), list(std))]
    )
    return lambda image: steps(image.copy())  # torch warns of arrays that it may not write to
