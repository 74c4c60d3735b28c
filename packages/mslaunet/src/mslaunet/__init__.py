"""MSLAU-Net."""
