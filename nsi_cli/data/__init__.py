"""From raw scenes to batches: the scene, the store, the loader and the feature cache."""
