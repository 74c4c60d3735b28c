"""The survey as data: its 40 methods, the numbers read from its plots, and what papers print for the same methods."""
