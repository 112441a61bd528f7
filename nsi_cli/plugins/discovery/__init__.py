"""Finding, importing and registering task plugins."""
