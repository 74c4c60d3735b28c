"""Image-report data sets as they lie on disk, turned into samples: one file per format."""
