"""Weight files that a user has to bring, found by name and recognised by their SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .._shared.errors import CheckpointError
from .._shared.files import sha256_file


@dataclass(frozen=True)
class WeightFile:
    """A published weight file.

    Attributes:
        file: the name under which it is published.
        sha256: leading hexadecimal digits of its checksum; "" where the publisher states none, and then any file of
            that name is taken and its checksum stands in the result.
        origin: who publishes it.
    """

    file: str
    sha256: str
    origin: str


INCEPTION = WeightFile(
    "pt_inception-2015-12-05-6726825d.pth", "6726825d", "pytorch-fid's release (TensorFlow's Inception of 2015)"
)
SQUEEZENET = WeightFile("squeezenet1_1-b8a52dc0.pth", "b8a52dc0", "torchvision")
CLIP_B32 = WeightFile(
    "ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", "OpenAI's CLIP"
)
CLIP_L14_336 = WeightFile(
    "ViT-L-14-336px.pt", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02", "OpenAI's CLIP"
)
DINOV2_L14 = WeightFile("dinov2_vitl14_pretrain.pth", "", "Meta's DINOv2")


def find_weights(wanted: WeightFile, weights_dir: Path | None) -> tuple[Path, str]:
    """The file in a user's folder, and its checksum.

    Args:
        wanted: which file.
        weights_dir: the folder given as `--weights-dir`.

    Returns:
        Its path and full SHA-256.

    Raises:
        CheckpointError: no folder was given, the file is not in it, or it is another file.
    """
    expected = f" with SHA-256 {wanted.sha256}..." if wanted.sha256 else ""
    if weights_dir is None or not (weights_dir / wanted.file).is_file():
        place = "no --weights-dir was given" if weights_dir is None else f"{weights_dir} does not hold it"
        raise CheckpointError(
            f"{wanted.file}: needed for this metric, but {place}; get the file{expected} of {wanted.origin} and "
            "name its folder with --weights-dir"
        )
    digest = sha256_file(weights_dir / wanted.file)
    if not digest.startswith(wanted.sha256):
        raise CheckpointError(
            f"{wanted.file}: SHA-256 {digest[:16]}... is not the published file's; expected {wanted.sha256[:16]}..., "
            "replace it"
        )
    return weights_dir / wanted.file, digest
