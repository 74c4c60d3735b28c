"""`mslaunet demo`: the main job on real input, with what it shows and what it does not."""
