"""Figures of an evaluation, each with the data behind it."""
