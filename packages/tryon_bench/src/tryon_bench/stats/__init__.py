"""How far the numbers can be trusted: intervals, tests, ranks, the bias of FID."""
