"""Verification of a store against its own record."""
