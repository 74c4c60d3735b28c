"""Metrics on numpy arrays: pure functions, NaN for undefined, millimetres for distances."""
