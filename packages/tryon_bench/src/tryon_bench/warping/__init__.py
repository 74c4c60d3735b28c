"""A learned warp: a small network that regresses the thin-plate spline of a garment, after CP-VTON's matching."""
