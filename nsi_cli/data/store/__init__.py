"""A built dataset on disk: reading, writing and summarising it."""
