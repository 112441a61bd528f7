"""How good a model is on a split: predictions, the metrics (one a file), and the suite."""

METRIC_NAMES = ("retrieval", "grounding", "segmentation", "kmeans", "properties")
"""The metrics of the suite; here, so that ``--help`` lists them without importing torch."""
