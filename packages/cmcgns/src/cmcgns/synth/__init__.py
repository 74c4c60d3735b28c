"""Data with a known answer: planted films and reports, written in the layout of every supported format."""
