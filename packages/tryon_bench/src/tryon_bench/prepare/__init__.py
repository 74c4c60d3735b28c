"""Photos, garments, parses and keypoints of a user -> a data set in VITON-HD's layout, with agnostic persons."""
