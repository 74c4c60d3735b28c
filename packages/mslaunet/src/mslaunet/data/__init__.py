"""Data sets as they lie on disk, turned into cases and slices: one file per layout."""
