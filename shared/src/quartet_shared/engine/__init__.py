"""The training loop that all packages share; a package supplies a task."""
