"""Evaluation of the metrics themselves: what each of them reacts to."""
