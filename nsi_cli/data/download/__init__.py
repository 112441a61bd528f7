"""Downloading and unpacking archives of raw data."""
