"""Data sets of virtual try-on: files on disk -> samples, and the results of a method that belong to them."""
