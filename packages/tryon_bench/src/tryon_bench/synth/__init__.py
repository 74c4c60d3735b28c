"""Tiny data sets in every layout: drawn persons in garments that are warped by known splines."""
