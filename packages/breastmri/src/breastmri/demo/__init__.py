"""`breastmri demo`: both losses on phantoms, every localiser, and a map on a real breast, with what it shows."""
