"""How good a model is on a split: what was found, the metrics (one a file), and the suite."""

METRIC_NAMES = ("retrieval", "grounding", "segmentation", "kmeans", "properties")
"""The parts of the suite, here so that ``--help`` can list them without importing torch."""
