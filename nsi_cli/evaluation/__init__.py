"""How good a model is on a split: what was found, the metrics (one a file), and the suite."""
