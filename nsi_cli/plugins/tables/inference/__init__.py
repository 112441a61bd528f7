"""Inferring how a table is read."""
