"""The evaluation engine: decode once, score every method and metric, keep what a resumed or sharded run needs."""
