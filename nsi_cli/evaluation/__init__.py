"""How good a model is on a split: predictions, the metrics (one a file), and the suite."""

KMEANS_SCENES = 1000
"""Scenes that k-means is run on by default, at most: it is the slowest part of the suite."""

DEPTHS = (1, 5, 10)
"""The k of R@k; here, so that tables of results need no torch."""

METRIC_NAMES = (
    "retrieval",
    "grounding",
    "segmentation",
    "kmeans",
    "properties",
    "property_retrieval",
    "set_prediction",
    "probes",
)
"""The metrics of the suite; here, so that ``--help`` lists them without importing torch."""
