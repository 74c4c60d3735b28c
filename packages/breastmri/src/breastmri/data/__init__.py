"""One file per layout of a public data set: files -> rows of one manifest -> studies."""
