"""Tiny valid data sets in every layout, to try the commands, to test loaders, and as examples of a layout."""

from .discs import NUM_CLASSES, disc_labels, tilted_affine
from .write import FORMATS, write_synthetic

__all__ = ["FORMATS", "NUM_CLASSES", "disc_labels", "tilted_affine", "write_synthetic"]
