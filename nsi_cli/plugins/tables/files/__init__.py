"""Reading annotation files as tables."""
