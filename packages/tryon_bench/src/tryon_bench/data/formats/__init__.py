"""One module per layout in which try-on data sets are published."""
