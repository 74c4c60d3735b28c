"""Try-on methods that run here: simple baselines, and any program that is callable as a command."""
