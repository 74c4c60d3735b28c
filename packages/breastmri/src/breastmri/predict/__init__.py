"""`breastmri predict`: one examination in, probabilities, maps, candidates and a report on its own grid out."""
