"""Batches of a store's split."""
