"""Probes: small models that are trained to read properties from frozen slots."""
