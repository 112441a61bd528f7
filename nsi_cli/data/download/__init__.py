"""Fetching and unpacking raw data."""
